package org.kerasfer.demo

import org.kerasfer.core.Accelerator
import org.kerasfer.core.Engine
import org.kerasfer.core.EngineException
import org.kerasfer.core.EngineFactory
import org.kerasfer.core.TensorType
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What runs the models in the app that `make apk` builds; in Android Studio's it is LiteRT's CompiledModel. */
val phoneEngines = EngineFactory { model, accelerator ->
    if (accelerator != Accelerator.CPU) throw EngineException("this build of the app computes on the CPU alone")
    try {
        InterpreterEngine(model)
    } catch (error: IllegalArgumentException) {
        throw EngineException("${model.name} is no model that TensorFlow Lite can load: ${error.message}", error)
    } catch (error: IllegalStateException) {
        throw EngineException("TensorFlow Lite cannot prepare ${model.name}: ${error.message}", error)
    } catch (error: LinkageError) {
        throw EngineException("TensorFlow Lite has no library for this phone: ${error.message}", error)
    }
}

/** TensorFlow Lite's interpreter on the CPU. Its tensors are read and written through buffers that are made once. */
private class InterpreterEngine(file: File) : Engine {
    private val interpreter = Interpreter(file, Interpreter.Options().setNumThreads(threads()))
    private val input: ByteBuffer
    private val inputs: Array<Any>
    private val outputs: List<ByteBuffer>
    private val outputsByIndex: Map<Int, Any>

    override val accelerator = Accelerator.CPU
    override val inputType: TensorType
    override val inputSize: Int
    override val outputSizes: List<Int>

    init {
        try {
            val tensor = interpreter.getInputTensor(0)
            inputType = when (val type = tensor.dataType()) {
                DataType.FLOAT32 -> TensorType.FLOAT32
                DataType.UINT8 -> TensorType.UINT8
                else -> throw IllegalArgumentException("its input has type $type, neither float32 nor uint8")
            }
            inputSize = tensor.numElements()
            val results = List(interpreter.outputTensorCount, interpreter::getOutputTensor)
            results.firstOrNull { it.dataType() != DataType.FLOAT32 }?.let {
                throw IllegalArgumentException("its output ${it.name()} has type ${it.dataType()}, float32 expected")
            }
            outputSizes = results.map { it.numElements() }
            input = buffer(tensor.numBytes())
            inputs = arrayOf(input)
            outputs = results.map { buffer(it.numBytes()) }
            outputsByIndex = outputs.indices.associateWith { outputs[it] }
        } catch (error: RuntimeException) {
            interpreter.close()
            throw error
        }
    }

    override fun run(input: ByteArray, outputs: List<FloatArray>) = run(outputs) { it.put(input) }

    override fun run(input: FloatArray, outputs: List<FloatArray>) = run(outputs) { it.asFloatBuffer().put(input) }

    override fun close() = interpreter.close()

    private inline fun run(results: List<FloatArray>, write: (ByteBuffer) -> Unit) {
        input.rewind()
        write(input)
        input.rewind()
        outputs.forEach { it.rewind() }
        try {
            interpreter.runForMultipleInputsOutputs(inputs, outputsByIndex)
        } catch (error: IllegalArgumentException) {
            throw EngineException("TensorFlow Lite failed: ${error.message}", error)
        } catch (error: IllegalStateException) {
            throw EngineException("TensorFlow Lite failed: ${error.message}", error)
        }
        outputs.forEachIndexed { i, buffer ->
            buffer.rewind()
            buffer.asFloatBuffer().get(results[i])
        }
    }

    private companion object {
        /** More threads than a phone has large cores make it slower. */
        const val THREADS = 4

        fun threads() = Runtime.getRuntime().availableProcessors().coerceAtMost(THREADS)

        fun buffer(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
    }
}
