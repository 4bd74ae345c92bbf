pipeline {
}
