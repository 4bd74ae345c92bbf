a = 'single \'quoted\' \t\u00e9\101'
b = "gstring ${x} $y.z.w $x. \$n"
c = '''multi
line\
joined'''
d = """m ${
 x
} "q" ${-> lazy} ${it -> it} ${} ${a; b}"""
e = /sla\/shy \d+ $x ${y} $/
f = $/dollar $$x $/ / \n ${z}/$
