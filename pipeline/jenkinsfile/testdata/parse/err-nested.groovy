node {
    def f() { }
    class A { }
    import a.b
    { x }
}
