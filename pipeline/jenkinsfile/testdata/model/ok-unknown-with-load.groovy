def h
node { h = load 'x.groovy'; other() }
