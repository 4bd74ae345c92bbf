// Bäume, 木, дерево
def größe = 'π ≈ 3.14'
def описание = "Größe: ${größe} — $größe"
echo описание
echo 'emoji 🎉 and "quotes" \'inside\' \u00e9\t\\n'
pipeline {
    agent any
    stages {
        stage('Übersetzen — 翻訳') {
            steps { echo "✓ ${BUILD_NUMBER}" }
        }
    }
}
