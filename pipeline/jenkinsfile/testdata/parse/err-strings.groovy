a = 'open
b = "open
c = 'bad \d'
d = "bad \d"
e = "a $ b"
f = /fine/
g = "${x
}"
