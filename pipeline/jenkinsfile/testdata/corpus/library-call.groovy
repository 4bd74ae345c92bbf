@Library(['build-tools@1.x', 'notify']) _

import com.example.ci.Version
import static com.example.ci.Util.*

def v = new Version('1.2.3')
buildPlugin(
    useContainerAgent: true,
    configurations: [
        [platform: 'linux', jdk: 21],
        [platform: 'windows', jdk: 17],
    ],
    forkCount: '1C',
)
notifySlack channel: '#ci', message: "done ${v}"
