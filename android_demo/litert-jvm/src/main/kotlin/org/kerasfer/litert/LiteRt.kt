package org.kerasfer.litert

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference

/**
 * LiteRT 2.3's C interface, as far as it is needed. All functions return a status, 0 for success.
 *
 * The library's path is the system property `litert.library`.
 */
@Suppress("ktlint:standard:function-naming")
internal object LiteRt {
    init {
        val path = System.getProperty("litert.library") ?: error("the system property litert.library is not set")
        Native.register(LiteRt::class.java, path)
    }

    const val CPU = 1
    const val HOST_MEMORY = 1
    const val LOCK_READ = 0
    const val LOCK_WRITE = 1
    const val TENSOR_TYPE_BYTES = 72L

    @JvmStatic
    external fun LiteRtCreateEnvironment(count: Int, options: Pointer?, environment: PointerByReference): Int

    @JvmStatic
    external fun LiteRtCreateModelFromFile(environment: Pointer, path: String, model: PointerByReference): Int

    @JvmStatic
    external fun LiteRtCreateOptions(options: PointerByReference): Int

    @JvmStatic
    external fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int

    @JvmStatic
    external fun LiteRtCreateCompiledModel(
        environment: Pointer,
        model: Pointer,
        options: Pointer,
        compiled: PointerByReference
    ): Int

    @JvmStatic
    external fun LiteRtGetModelSubgraph(model: Pointer, index: Long, subgraph: PointerByReference): Int

    @JvmStatic
    external fun LiteRtGetSubgraphInput(subgraph: Pointer, index: Long, tensor: PointerByReference): Int

    @JvmStatic
    external fun LiteRtGetSubgraphOutput(subgraph: Pointer, index: Long, tensor: PointerByReference): Int

    @JvmStatic
    external fun LiteRtGetNumSubgraphOutputs(subgraph: Pointer, count: Memory): Int

    @JvmStatic
    external fun LiteRtGetRankedTensorType(tensor: Pointer, type: Memory): Int

    @JvmStatic
    external fun LiteRtGetCompiledModelInputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference
    ): Int

    @JvmStatic
    external fun LiteRtGetCompiledModelOutputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference
    ): Int

    @JvmStatic
    external fun LiteRtGetTensorBufferRequirementsBufferSize(requirements: Pointer, bytes: Memory): Int

    @JvmStatic
    external fun LiteRtCreateManagedTensorBuffer(
        environment: Pointer,
        kind: Int,
        type: Memory,
        bytes: Long,
        buffer: PointerByReference
    ): Int

    @JvmStatic
    external fun LiteRtLockTensorBuffer(buffer: Pointer, address: PointerByReference, mode: Int): Int

    @JvmStatic
    external fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int

    @JvmStatic
    external fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: Long,
        inputCount: Long,
        inputs: Memory,
        outputCount: Long,
        outputs: Memory
    ): Int

    @JvmStatic
    external fun LiteRtDestroyTensorBuffer(buffer: Pointer)

    @JvmStatic
    external fun LiteRtDestroyCompiledModel(compiled: Pointer)

    @JvmStatic
    external fun LiteRtDestroyOptions(options: Pointer)

    @JvmStatic
    external fun LiteRtDestroyModel(model: Pointer)

    @JvmStatic
    external fun LiteRtDestroyEnvironment(environment: Pointer)
}
