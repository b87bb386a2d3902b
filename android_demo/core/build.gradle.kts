import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
    // The tests need LiteRT on a JVM, which pom.xml sets up.
    sourceSets.named("test") {
        kotlin.setSrcDirs(emptyList<String>())
    }
}

dependencies {
    // Android has it; the app must not pack it a second time.
    compileOnly(libs.android.json)
}
