@Library('x')

pipeline {
    agent any
}
