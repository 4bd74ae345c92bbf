// Package pipeline is one run of a Jenkinsfile, from its acceptance to its result, and the set of all runs.
//
// A Runner accepts builds, holds those that a limit keeps back, evaluates the others and resumes what was unfinished when
// the controller stopped. It is the step.Run and the step.Nodes behind the steps. What a Jenkinsfile means is left to the
// folders below: jenkinsfile reads it, interp and declarative evaluate it, step does its work. Records are build's, executors
// are queue's, output is build/log's. A Runner's methods may be called concurrently.
package pipeline
