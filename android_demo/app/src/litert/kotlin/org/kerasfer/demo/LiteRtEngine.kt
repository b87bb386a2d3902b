package org.kerasfer.demo

import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Engine
import org.kerasfer.core.EngineException
import org.kerasfer.core.EngineFactory
import org.kerasfer.core.TensorType
import java.io.File
import java.io.IOException

/** What runs the models on a phone. */
val phoneEngines = EngineFactory { model, accelerator ->
    try {
        LiteRtEngine(model, accelerator)
    } catch (error: LiteRtException) {
        throw EngineException("LiteRT cannot prepare ${model.name} for the $accelerator: ${error.message}", error)
    } catch (error: IOException) {
        throw EngineException("${model.name} is no model that LiteRT can load: ${error.message}", error)
    } catch (error: LinkageError) {
        throw EngineException("LiteRT has no library for this phone: ${error.message}", error)
    }
}

/**
 * LiteRT's CompiledModel. Where the GPU is asked for, nothing else is allowed: LiteRT then refuses what it cannot run
 * there, and does not silently take the CPU.
 */
private class LiteRtEngine(file: File, override val accelerator: Accelerator) : Engine {
    private val input = TfliteInput.read(file)
    private val model = CompiledModel.create(file.absolutePath, options(accelerator))
    private val inputs: List<TensorBuffer>
    private val outputs: List<TensorBuffer>
    private var closed = false

    override val inputType = input.type
    override val inputSize = input.elements
    override val outputSizes: List<Int>

    init {
        val made = ArrayList<AutoCloseable>().apply { add(model) }
        try {
            inputs = model.createInputBuffers().also(made::addAll)
            outputs = model.createOutputBuffers().also(made::addAll)
            outputSizes = outputs.map { it.readFloat().size }
        } catch (error: LiteRtException) {
            made.asReversed().forEach(AutoCloseable::close)
            throw error
        }
    }

    override fun run(input: ByteArray, outputs: List<FloatArray>) = run(outputs) { inputs[0].writeInt8(input) }

    override fun run(input: FloatArray, outputs: List<FloatArray>) = run(outputs) { inputs[0].writeFloat(input) }

    override fun close() {
        if (closed) return
        closed = true
        (inputs + outputs).forEach(TensorBuffer::close)
        model.close()
    }

    private inline fun run(results: List<FloatArray>, write: () -> Unit) {
        check(!closed) { "the model is closed" }
        try {
            write()
            model.run(inputs, outputs)
            outputs.forEachIndexed { i, buffer -> buffer.readFloat().copyInto(results[i]) }
        } catch (error: LiteRtException) {
            throw EngineException("LiteRT failed on the $accelerator: ${error.message}", error)
        }
    }

    private companion object {
        /** More threads than a phone has large cores make it slower. */
        const val THREADS = 4

        fun options(accelerator: Accelerator) = when (accelerator) {
            Accelerator.CPU -> CompiledModel.Options(com.google.ai.edge.litert.Accelerator.CPU).apply {
                val threads = Runtime.getRuntime().availableProcessors().coerceAtMost(THREADS)
                cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
            }

            Accelerator.GPU -> CompiledModel.Options(com.google.ai.edge.litert.Accelerator.GPU)
        }
    }
}
