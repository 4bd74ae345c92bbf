# Starts this machine's Outwork agent: fetches the binary when the controller has another than the one that is here, compares its
# SHA-256, and runs the agent until it ends.
#
#   & ([scriptblock]::Create((irm URL/agent.ps1))) --token owj_…
#   $env:OUTWORK_TOKEN = 'owj_…'; irm URL/agent.ps1 | iex          the same, the token is in no process list
#
# All arguments are the agent's: see outwork-agent --help. $env:OUTWORK_BIN is the folder of the binary, by default .outwork\bin in
# the user's own. "install --name a …" instead makes it a service of this machine, from a shell that runs as administrator.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
$url = if ($env:OUTWORK_URL) { $env:OUTWORK_URL } else { @URL@ }
$url = $url.TrimEnd('/')
$node = @NODE@
$options = @(@OPTIONS@ -split ' ' | Where-Object { $_ })
$arch = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
$arch = $arch.ToLower()
$dir = if ($env:OUTWORK_BIN) { $env:OUTWORK_BIN } else { Join-Path $env:USERPROFILE '.outwork\bin' }
$file = Join-Path $dir 'outwork-agent.exe'
New-Item -ItemType Directory -Force $dir | Out-Null

$answer = Invoke-WebRequest -UseBasicParsing "$url/agent/windows/$arch.sha256"
$want = "$($answer.Content)".Split(' ')[0]
if ($want -notmatch '^[0-9a-f]{64}$') { throw "$url/agent/windows/$arch.sha256 is no digest: is this the address of an Outwork controller?" }
$have = if (Test-Path $file) { (Get-FileHash -Algorithm SHA256 $file).Hash.ToLower() }
if ($have -ne $want) {
  Write-Host "fetching the agent for windows/$arch from $url"
  $new = "$file.new.$PID"
  Invoke-WebRequest -UseBasicParsing "$url/agent/windows/$arch" -OutFile $new
  $got = (Get-FileHash -Algorithm SHA256 $new).Hash.ToLower()
  if ($got -ne $want) { Remove-Item $new; throw "what came from $url/agent/windows/$arch has the SHA-256 $got, expected ${want}: it is not started" }
  if (Test-Path $file) { Move-Item -Force $file "$file.old" }
  Move-Item $new $file
}
if ($node -and -not $env:OUTWORK_NAME) { $env:OUTWORK_NAME = $node }
$env:OUTWORK_URL = $url
$verb = @()
if ($answer.Headers['Outwork-Agent-Verb']) { $verb = @("$($answer.Headers['Outwork-Agent-Verb'])") }
$arguments = @($args)
if ($arguments.Count -and @('uninstall', 'start', 'stop', 'restart', 'status') -contains $arguments[0]) { $options = @() }
& $file @verb @arguments @options
