"""Drives a controller with python-jenkins, as a person's script would: client.py URL USER SECRET"""
import sys
import time

import jenkins

PIPELINE = """<?xml version='1.1' encoding='UTF-8'?>
<flow-definition plugin="workflow-job"><description>made by python</description><properties/>
<definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"><script>%s</script></definition></flow-definition>"""

server = jenkins.Jenkins(sys.argv[1], username=sys.argv[2], password=sys.argv[3])


def until(what, ask):
    end = time.time() + 60
    while time.time() < end:
        got = ask()
        if got:
            return got
        time.sleep(0.02)
    raise Exception("waited too long for " + what)


def equal(got, want):
    assert got == want, "got %r, want %r" % (got, want)


def refused(call, *args):
    try:
        call(*args)
    except jenkins.JenkinsException as err:
        return str(err)
    raise Exception("%r was not refused" % (args,))


def ended(job, number):
    return until("the end of " + job, lambda: [b for b in [server.get_build_info(job, number)] if not b["building"]])[0]


def start(job, **parameters):
    item = server.build_job(job, parameters or None)
    return until("the item", lambda: server.get_queue_item(item).get("executable"))["number"]


def jobs():
    assert server.get_version()[0].isdigit()
    equal(server.get_whoami()["id"], sys.argv[2])
    server.create_job("py", PIPELINE % "pipeline { agent { label 'linux' }; parameters { string(name: 'WHO', defaultValue: 'world') }; stages { stage('s') { steps { echo \"hello ${params.WHO}\" } } } }")
    assert server.job_exists("py")
    refused(server.create_job, "py", PIPELINE % "echo 1")
    n = start("py")
    equal(ended("py", n)["result"], "SUCCESS")
    n = start("py", WHO="you")
    ended("py", n)
    assert "hello you" in server.get_build_console_output("py", n)
    equal([b["number"] for b in server.get_job_info("py", fetch_all_builds=True)["builds"]], [2, 1])
    equal(server.get_job_info("py")["lastSuccessfulBuild"]["number"], 2)
    server.disable_job("py")
    equal([j["color"] for j in server.get_all_jobs() if j["name"] == "py"], ["disabled"])
    server.enable_job("py")
    server.create_job("team/app", PIPELINE % "echo 1")
    assert "team/app" in [j["fullname"] for j in server.get_all_jobs()]
    server.copy_job("py", "py2")
    server.reconfig_job("py2", PIPELINE % "echo 2")
    assert "echo 2" in server.get_job_config("py2")
    server.delete_job("py2")
    refused(server.get_build_info, "py", 3)


def console(job, number):
    try:
        return server.get_build_console_output(job, number)
    except jenkins.JenkinsException:  # so it calls an empty log
        return ""


def stopping():
    server.create_job("long", PIPELINE % "node('linux') { sh 'echo begun; exec sleep 600' }")
    n = start("long")
    until("the step", lambda: "\nbegun" in console("long", n))
    equal([(b["name"], b["number"], b["node"]) for b in server.get_running_builds()], [("long", n, "n1")])
    server.stop_build("long", n)
    equal(ended("long", n)["result"], "ABORTED")
    server.create_job("waits", PIPELINE % "node('nobody-has-this') { }")
    start("waits")
    item = until("the queue", server.get_queue_info)[0]
    server.cancel_queue(item["id"])
    equal(ended("waits", 1)["result"], "ABORTED")


def nodes():
    server.create_node("made", numExecutors=2, nodeDescription="by python", remoteFS="/srv/a", labels="linux made", exclusive=True,
                       launcher=jenkins.LAUNCHER_JNLP)
    assert server.node_exists("made")
    equal(server.get_node_info("made")["numExecutors"], 2)
    assert "<mode>EXCLUSIVE</mode>" in server.get_node_config("made")
    server.reconfig_node("made", server.get_node_config("made").replace("/srv/a", "/srv/b"))
    assert "/srv/b" in server.get_node_config("made")
    server.delete_node("made")
    assert not server.node_exists("made")
    server.disable_node("n1", "new disk")
    equal(server.get_node_info("n1")["offlineCauseReason"], "new disk")
    server.enable_node("n1")
    until("n1", lambda: not server.get_node_info("n1")["offline"])
    assert "Built-In Node" in [n["name"] for n in server.get_nodes()]
    equal(server.get_node_info("(master)")["displayName"], "Built-In Node")


def rest():
    server.quiet_down()
    assert "Scripts are not run" in refused(server.run_script, "println 1")
    wrong = jenkins.Jenkins(sys.argv[1], username=sys.argv[2], password="wrong")
    refused(wrong.get_job_info, "py")


jobs()
stopping()
nodes()
rest()
print("ok")
