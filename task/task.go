// Package task is the room of the cached task graph.
//
// A task says what it needs, what it runs and what it publishes. task/recipe reads tasks from Starlark files, task/graph puts the
// ones that are asked for in order and makes a Remote Execution API action of each, task/run walks them: what the cache has is taken
// from there, the rest goes to an executor. task/local is the executor of this machine, in a task/sandbox.
//
// A task's key is the digest of its action, and nothing else: equal work has equal keys, wherever and by whomever it is done.
package task
