def platforms = ['linux', 'windows', 'mac']
def branches = [:]

for (int i = 0; i < platforms.size(); i++) {
    def platform = platforms[i]
    branches["build-${platform}"] = {
        node(platform) {
            stage("Build ${platform}") {
                checkout scm
                if (isUnix()) {
                    sh './build.sh'
                } else {
                    bat 'build.cmd'
                }
                stash includes: 'out/**', name: "out-${platform}"
            }
        }
    }
}
branches.failFast = true

parallel branches

node('master') {
    platforms.each { p ->
        dir("out/$p") { unstash "out-${p}" }
    }
    archiveArtifacts 'out/**'
}
