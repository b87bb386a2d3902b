@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.ai.edge.litert

// Stubs: the names and types of LiteRT 2.1.6 (Apache-2.0, litert/kotlin in its repository) and nothing behind them.

private fun stub(): Nothing = throw UnsupportedOperationException("a stub to compile against, not LiteRT")

enum class Accelerator { NONE, CPU, GPU, NPU }

class LiteRtException(message: String) : Exception(message)

abstract class JniHandle internal constructor() : AutoCloseable {
    final override fun close(): Unit = stub()
}

class Environment internal constructor() : JniHandle()

class TensorBuffer internal constructor() : JniHandle() {
    fun writeFloat(data: FloatArray): Unit = stub()

    fun writeInt8(data: ByteArray): Unit = stub()

    fun readFloat(): FloatArray = stub()
}

class CompiledModel private constructor() : JniHandle() {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null
    )

    class Options(vararg accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    @JvmOverloads
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @JvmOverloads
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @JvmOverloads
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0): Unit = stub()

    companion object {
        @JvmStatic
        @JvmOverloads
        fun create(filePath: String, options: Options, optionalEnv: Environment? = null): CompiledModel = stub()
    }
}
