library identifier: 'tools@main', retriever: modernSCM(
    [$class: 'GitSCMSource', remote: 'https://git.example.com/tools.git', credentialsId: 'git'])

if (!env.CHANGE_ID) {
    standardPipeline {
        name = 'service'
        steps = ['build', 'test']
        notify = true
    }
} else {
    prPipeline { target = env.CHANGE_TARGET }
}
