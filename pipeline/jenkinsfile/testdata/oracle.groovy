// Says of each source text whether Groovy's own parser takes it.
//
// usage: groovy oracle.groovy cases.json answers.json
//
// cases.json is an array of texts; answers.json becomes an array of {ok, error}, one for each, in order. Only the phases up
// to CONVERSION run: nothing is resolved, nothing is executed.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilationFailedException
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases

def answer(String text) {
    def unit = new CompilationUnit()
    unit.addSource('WorkflowScript', text)
    try {
        unit.compile(Phases.CONVERSION)
        return [ok: true, error: '']
    } catch (CompilationFailedException e) {
        return [ok: false, error: e.message]
    } catch (Throwable e) {
        return [ok: false, error: 'crash: ' + e]
    }
}

def cases = new JsonSlurper().parse(new File(args[0]), 'UTF-8')
new File(args[1]).write(JsonOutput.toJson(cases.collect { answer(it) }), 'UTF-8')
