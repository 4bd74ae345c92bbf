// Package outwork is the module's root: it holds no code, only the tests that keep the house in order.
//
// See docs/design for the rooms and why they stand where they do.
package outwork
