package org.kerasfer.bench

import org.kerasfer.core.Accelerator
import org.kerasfer.core.BlazeFace
import org.kerasfer.core.Card
import org.kerasfer.core.Classifier
import org.kerasfer.core.CropRect
import org.kerasfer.core.Engine
import org.kerasfer.core.FaceDetector
import org.kerasfer.core.FaceMark
import org.kerasfer.core.Placement
import org.kerasfer.core.Plane
import org.kerasfer.core.Recognizer
import org.kerasfer.core.Snapshot
import org.kerasfer.core.TensorType
import org.kerasfer.core.YuvFrame
import org.kerasfer.core.faceMarks
import org.openjdk.jmh.annotations.Benchmark
import org.openjdk.jmh.annotations.BenchmarkMode
import org.openjdk.jmh.annotations.Fork
import org.openjdk.jmh.annotations.Measurement
import org.openjdk.jmh.annotations.Mode
import org.openjdk.jmh.annotations.OutputTimeUnit
import org.openjdk.jmh.annotations.Param
import org.openjdk.jmh.annotations.Scope
import org.openjdk.jmh.annotations.Setup
import org.openjdk.jmh.annotations.State
import org.openjdk.jmh.annotations.Warmup
import java.nio.ByteBuffer
import java.util.concurrent.TimeUnit
import kotlin.random.Random

/**
 * All of a frame but the models, which answer at once: YUV to an upright picture, the detector's input, decoding, two
 * crops, tracking, and where to draw.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 10, time = 1)
@Fork(1)
open class FrameBenchmark {
    @Param("320x240", "640x480", "1280x960")
    @JvmField
    var size = ""

    @Param("90")
    @JvmField
    var rotation = 0

    private val recognizer = Recognizer()
    private val snapshot = Snapshot()
    private lateinit var frame: YuvFrame
    private var seconds = 0.0

    @Setup
    fun prepare() {
        val (width, height) = size.split('x').map { it.toInt() }
        val random = Random(0)
        val plane = { bytes: Int -> ByteBuffer.allocateDirect(bytes).put(random.nextBytes(bytes)) }
        val chroma = plane(width * height / 2)
        val second = chroma.duplicate().apply { position(1) }.slice()
        frame = YuvFrame(
            Plane(plane(width * height), width, 1),
            Plane(chroma, width, 2),
            Plane(second, width, 2),
            CropRect(0, 0, width, height),
            rotation,
            mirrored = true
        )
        recognizer.use(FaceDetector(Detector()))
        val card = """{"model": "m", "input_size": 112, "classes": ["a", "b", "c", "d", "e", "f", "g"]}"""
        recognizer.use(Classifier(Card.parse(card, "m"), Answer()))
    }

    @Benchmark
    fun frame(): List<FaceMark> {
        seconds += 0.03
        recognizer.recognize(frame, seconds, snapshot)
        val image = snapshot.image
        val faces = snapshot.recognition.faces
        check(faces.size == 2)
        val placement = Placement.fill(image.width, image.height, 1080, 2160)
        return faceMarks(faces, placement, 1080, 2160, 300f, 80f)
    }

    private class Answer : Engine {
        override val accelerator = Accelerator.CPU
        override val inputType = TensorType.UINT8
        override val inputSize = 3 * 112 * 112
        override val outputSizes = listOf(7)

        override fun run(input: ByteArray, outputs: List<FloatArray>) = outputs[0].fill(1 / 7f)

        override fun run(input: FloatArray, outputs: List<FloatArray>) = error("uint8 expected")

        override fun close() = Unit
    }

    /** Two faces, each found by eight anchors, as BlazeFace does. */
    private class Detector : Engine {
        private val values = FloatArray(BlazeFace.ANCHORS * BlazeFace.VALUES)
        private val logits = FloatArray(BlazeFace.ANCHORS) { -10f }
        override val accelerator = Accelerator.CPU
        override val inputType = TensorType.FLOAT32
        override val inputSize = 3 * BlazeFace.SIDE * BlazeFace.SIDE
        override val outputSizes = listOf(values.size, logits.size)

        init {
            for (column in listOf(4, 11)) {
                for (k in 0 until 8) {
                    val anchor = 2 * (7 * 16 + column) + k % 2 + 2 * (k / 2 % 2) + 32 * (k / 4)
                    logits[anchor] = 3f + k / 10f
                    val at = anchor * BlazeFace.VALUES
                    values[at + 2] = 38f
                    values[at + 3] = 38f
                    values[at + 4] = -8f
                    values[at + 5] = -5f
                    values[at + 6] = 8f
                    values[at + 7] = -4f
                }
            }
        }

        override fun run(input: ByteArray, outputs: List<FloatArray>) = error("float32 expected")

        override fun run(input: FloatArray, outputs: List<FloatArray>) {
            values.copyInto(outputs[0])
            logits.copyInto(outputs[1])
        }

        override fun close() = Unit
    }
}
