pipeline
{
    agent
    {
        label 'linux'
    }
    stages
    {
        stage('Build')
        {
            steps
            {
                sh 'make'
                script
                {
                    def result = sh(
                        script: 'make test',
                        returnStatus: true
                    )
                    def items = [
                        'a',
                        'b',
                    ]
                    def chosen = items
                        .findAll { it != 'a' }
                        ?.collect {
                            it.toUpperCase()
                        }
                        *.trim()
                    def label = result == 0
                        ? 'good'
                        : result > 1
                            ? 'bad'
                            : 'meh'
                    if (result)
                    {
                        echo label
                    }
                    else if (chosen)
                    {
                        echo 'x'
                    }
                    else
                    {
                        echo 'y'
                    }
                    try
                    {
                        echo 'z'
                    }
                    catch (e)
                    {
                        throw e
                    }
                    finally
                    {
                        echo 'done'
                    }
                }
            }
        }
    }
}
