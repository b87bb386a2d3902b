package org.kerasfer.litert

import com.sun.jna.Memory
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Engine
import org.kerasfer.core.EngineException
import org.kerasfer.core.EngineFactory
import org.kerasfer.core.TensorType
import java.io.File

/**
 * A model run by LiteRT's `libLiteRt.so` on a JVM.
 *
 * The wheel's GPU accelerator needs a GPU, so [Accelerator.GPU] is refused, as by a phone without one.
 *
 * @throws EngineException the file is no model that LiteRT runs.
 */
class LiteRtEngine(model: File, override val accelerator: Accelerator = Accelerator.CPU) : Engine {
    private val release = ArrayDeque<() -> Unit>()
    private val compiled: Pointer
    private val input: Buffer
    private val outputs: List<Buffer>
    private val inputHandles: Memory
    private val outputHandles: Memory
    private var closed = false

    override val inputType: TensorType
    override val inputSize: Int
    override val outputSizes: List<Int>

    init {
        if (accelerator != Accelerator.CPU) throw EngineException("no $accelerator here")
        if (!model.isFile) throw EngineException("$model does not exist")
        try {
            val environment = create("environment", LiteRt::LiteRtDestroyEnvironment) {
                LiteRt.LiteRtCreateEnvironment(0, null, it)
            }
            val file = create(model.name, LiteRt::LiteRtDestroyModel) {
                LiteRt.LiteRtCreateModelFromFile(environment, model.path, it)
            }
            val options = create("options", LiteRt::LiteRtDestroyOptions) { LiteRt.LiteRtCreateOptions(it) }
            check("CPU", LiteRt.LiteRtSetOptionsHardwareAccelerators(options, LiteRt.CPU))
            compiled = create(model.name, LiteRt::LiteRtDestroyCompiledModel) {
                LiteRt.LiteRtCreateCompiledModel(environment, file, options, it)
            }
            val graph = reference("graph") { LiteRt.LiteRtGetModelSubgraph(file, 0, it) }
            input = Buffer(
                environment,
                reference("input") { LiteRt.LiteRtGetSubgraphInput(graph, 0, it) },
                reference("input") { LiteRt.LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, it) }
            )
            val count = size { LiteRt.LiteRtGetNumSubgraphOutputs(graph, it) }
            outputs = (0 until count).map { i ->
                Buffer(
                    environment,
                    reference("output $i") { LiteRt.LiteRtGetSubgraphOutput(graph, i, it) },
                    reference("output $i") { LiteRt.LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, i, it) }
                )
            }
        } catch (error: EngineException) {
            close()
            throw error
        }
        inputType = when (input.element) {
            FLOAT32 -> TensorType.FLOAT32

            UINT8 -> TensorType.UINT8

            else -> TensorType.FLOAT32.also {
                close()
                throw EngineException("${model.name} has an input of type ${input.element}, uint8 or float32 expected")
            }
        }
        outputs.firstOrNull { it.element != FLOAT32 }?.let {
            close()
            throw EngineException("${model.name} has an output of type ${it.element}, float32 expected")
        }
        inputSize = input.elements
        outputSizes = outputs.map { it.elements }
        inputHandles = Memory(8).apply { setPointer(0, input.handle) }
        outputHandles = Memory(8L * outputs.size).apply {
            outputs.forEachIndexed { i, output -> setPointer(8L * i, output.handle) }
        }
    }

    override fun run(input: ByteArray, outputs: List<FloatArray>) {
        require(inputType == TensorType.UINT8 && input.size == inputSize) { "$inputSize of $inputType expected" }
        invoke({ it.write(0, input, 0, input.size) }, outputs)
    }

    override fun run(input: FloatArray, outputs: List<FloatArray>) {
        require(inputType == TensorType.FLOAT32 && input.size == inputSize) { "$inputSize of $inputType expected" }
        invoke({ it.write(0, input, 0, input.size) }, outputs)
    }

    override fun close() {
        closed = true
        while (release.isNotEmpty()) release.removeLast()()
    }

    private fun invoke(write: (Pointer) -> Unit, outputs: List<FloatArray>) {
        if (closed) throw EngineException("the model is closed")
        input.locked(LiteRt.LOCK_WRITE, write)
        val count = this.outputs.size.toLong()
        check("run", LiteRt.LiteRtRunCompiledModel(compiled, 0, 1, inputHandles, count, outputHandles))
        this.outputs.forEachIndexed { i, buffer ->
            buffer.locked(LiteRt.LOCK_READ) { it.read(0, outputs[i], 0, outputs[i].size) }
        }
    }

    /** A tensor in the host's memory. */
    private inner class Buffer(environment: Pointer, tensor: Pointer, requirements: Pointer) {
        private val type = Memory(LiteRt.TENSOR_TYPE_BYTES).apply { clear() }
        val handle: Pointer
        val element: Int
        val elements: Int

        init {
            check("type", LiteRt.LiteRtGetRankedTensorType(tensor, type))
            element = type.getInt(0)
            elements = (0 until (type.getInt(4) and 0x7F)).fold(1) { n, i -> n * type.getInt(8L + 4 * i) }
            val bytes = size { LiteRt.LiteRtGetTensorBufferRequirementsBufferSize(requirements, it) }
            handle = create("buffer", LiteRt::LiteRtDestroyTensorBuffer) {
                LiteRt.LiteRtCreateManagedTensorBuffer(environment, LiteRt.HOST_MEMORY, type, bytes, it)
            }
        }

        fun locked(mode: Int, use: (Pointer) -> Unit) {
            use(reference("lock") { LiteRt.LiteRtLockTensorBuffer(handle, it, mode) })
            check("unlock", LiteRt.LiteRtUnlockTensorBuffer(handle))
        }
    }

    private fun create(what: String, destroy: (Pointer) -> Unit, call: (PointerByReference) -> Int): Pointer =
        reference(what, call).also { made -> release.addLast { destroy(made) } }

    private fun reference(what: String, call: (PointerByReference) -> Int): Pointer {
        val reference = PointerByReference()
        check(what, call(reference))
        return reference.value ?: throw EngineException("LiteRT gave no $what")
    }

    private fun size(call: (Memory) -> Int): Long {
        val memory = Memory(8).apply { clear() }
        check("size", call(memory))
        return memory.getLong(0)
    }

    private fun check(what: String, status: Int) {
        if (status != 0) throw EngineException("LiteRT refuses $what (status $status)")
    }

    companion object {
        /** Opens models as [ModelLoader][org.kerasfer.core.ModelLoader] wants it. */
        val FACTORY = EngineFactory { model, accelerator -> LiteRtEngine(model, accelerator) }

        private const val FLOAT32 = 1
        private const val UINT8 = 3
    }
}
