def stagesFrom(List names) {
    names.collectEntries { n -> [(n): { stage(n) { node('linux') { sh "make $n" } } }] }
}

def plan = readJSON text: '{"parallel": ["a", "b"]}'
timestamps {
    stage('Dynamic') {
        parallel stagesFrom(plan.parallel)
    }
    plan.parallel.sort { a, b -> b <=> a }.each {
        stage("Serial ${it}") {
            echo it
        }
    }
}
if (currentBuild.rawBuild.getCause(hudson.model.Cause$UserIdCause)) {
    echo 'by hand'
}
