package org.kerasfer.core

import java.io.File

/** What computes a model. */
enum class Accelerator { CPU, GPU }

enum class TensorType { UINT8, FLOAT32 }

/**
 * A model that is loaded and can be run: LiteRT on a phone, LiteRT through JNA on a JVM.
 *
 * The model has one input and float32 outputs. One thread at a time may call it. [close] may be called more than once.
 */
interface Engine : AutoCloseable {
    /** What really computes the model, which need not be what was asked for. */
    val accelerator: Accelerator

    val inputType: TensorType

    /** Number of elements of the input. */
    val inputSize: Int

    /** Number of elements of each output, in the model's order. */
    val outputSizes: List<Int>

    /**
     * Runs a model whose input is [TensorType.UINT8].
     *
     * @param input [inputSize] bytes.
     * @param outputs one array of [outputSizes] elements for each output; overwritten.
     * @throws EngineException it failed.
     */
    fun run(input: ByteArray, outputs: List<FloatArray>)

    /** Runs a model whose input is [TensorType.FLOAT32]; as the other. */
    fun run(input: FloatArray, outputs: List<FloatArray>)

    override fun close()
}

/** Opens models. A file, and not bytes: every runtime opens files, and the card is read from the same one. */
fun interface EngineFactory {
    /** @throws EngineException the file is no model that can run, or the accelerator is not to be had. */
    fun open(model: File, accelerator: Accelerator): Engine
}

/** A model cannot be loaded or run; the message is one line. */
class EngineException(message: String, cause: Throwable? = null) : Exception(message, cause)
