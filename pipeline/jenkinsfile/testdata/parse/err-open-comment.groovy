node {
    /* never
    closed
}
