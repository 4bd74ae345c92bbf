node {
	sh 'x' )
}
