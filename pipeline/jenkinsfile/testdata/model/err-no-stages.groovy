pipeline {
    agent any
    
    stages { }
}
