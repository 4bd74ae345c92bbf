// Package jenkinsfile reads Jenkinsfiles: it turns their text into a tree, and the tree of a declarative pipeline into a
// checked model.
//
// Parse takes the whole grammar of Groovy 2.4, the version that Jenkins runs; what Groovy's own parser takes, it takes, with
// the same structure, and a test holds it to that. Model reads pipeline { … } and collects everything that is wrong with it, in
// Jenkins' words where it has them. Errors print as Jenkins prints them: place, source line, caret.
//
// The package is pure: it does no input or output, evaluates nothing and keeps no state. Evaluating the tree is left to package
// interp, running the model to package declarative. Everything may be called concurrently; trees and models must not be
// changed by those who share them.
package jenkinsfile
