// Runs every *.case file of a folder and writes what it prints to *.out. An uncaught exception is the last line: "!! class: message".
new File(args[0]).listFiles().findAll { it.name.endsWith('.case') }.each { file ->
    def buffer = new StringWriter()
    def out = new PrintWriter(buffer, true)
    def binding = new Binding(out: out)
    try {
        new GroovyShell(binding).evaluate(file.text, 'WorkflowScript.groovy')
    } catch (Throwable e) {
        def name = e.class.name
        def message = e.message == null ? '' : e.message.readLines()[0].replace('for class: WorkflowScript', 'for class: groovy.lang.Binding')
        out.println("!! ${name}: ${message}")
    }
    out.flush()
    new File(file.parentFile, file.name.replace('.case', '.out')).text = buffer.toString()
}
