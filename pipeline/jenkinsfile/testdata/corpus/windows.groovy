pipeline {
    agent { label 'windows' }
    stages {
        stage('Build') {
            steps {
                bat """
                    call "C:\\Program Files\\VS\\vcvars64.bat"
                    msbuild /m /p:Configuration=Release
                """
                powershell '''
                    $ErrorActionPreference = 'Stop'
                    Get-ChildItem -Recurse "$env:WORKSPACE" | Where-Object { $_.Length -gt 1MB }
                '''
                bat(script: 'dir /b', returnStatus: true)
            }
        }
    }
}
