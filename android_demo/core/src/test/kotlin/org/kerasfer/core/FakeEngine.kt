package org.kerasfer.core

/** An engine that answers by a rule and counts how it is used. */
class FakeEngine(
    override val inputSize: Int,
    override val outputSizes: List<Int>,
    override val inputType: TensorType = TensorType.UINT8,
    override val accelerator: Accelerator = Accelerator.CPU,
    private val answer: (Int, FloatArray) -> Unit
) : Engine {
    var runs = 0
        private set
    var closed = 0
        private set
    var lastFloats: FloatArray? = null
        private set

    override fun run(input: ByteArray, outputs: List<FloatArray>) {
        check(inputType == TensorType.UINT8 && input.size == inputSize)
        run(outputs)
    }

    override fun run(input: FloatArray, outputs: List<FloatArray>) {
        check(inputType == TensorType.FLOAT32 && input.size == inputSize)
        lastFloats = input.copyOf()
        run(outputs)
    }

    private fun run(outputs: List<FloatArray>) {
        check(closed == 0) { "closed" }
        runs++
        outputs.forEachIndexed(answer)
    }

    override fun close() {
        closed++
    }

    companion object {
        /** A detector that finds faces in the middle of the square; centres and size in its pixels. */
        fun detector(vararg faces: Triple<Float, Float, Float>) = FakeEngine(
            3 * BlazeFace.SIDE * BlazeFace.SIDE,
            listOf(BlazeFace.ANCHORS * BlazeFace.VALUES, BlazeFace.ANCHORS),
            TensorType.FLOAT32
        ) { index, output ->
            output.fill(if (index == 1) -100f else 0f)
            faces.forEachIndexed { anchor, (x, y, side) ->
                if (index == 1) {
                    output[anchor] = 4f
                } else {
                    val at = anchor * BlazeFace.VALUES
                    // The first anchors lie at 4, 4 (two of them), then 12, 4...
                    val dx = x - (anchor / 2 * 8 + 4)
                    val dy = y - 4
                    val points = listOf(0f to 0f, side to side, -side / 5 to -side / 8, side / 5 to -side / 8)
                    points.forEachIndexed { i, (px, py) ->
                        output[at + 2 * i] = if (i == 1) px else dx + px
                        output[at + 2 * i + 1] = if (i == 1) py else dy + py
                    }
                }
            }
        }

        fun classifier(card: Card, vararg probabilities: Float) =
            FakeEngine(3 * card.inputSize * card.inputSize, listOf(card.classes.size)) { _, output ->
                probabilities.copyInto(output)
            }
    }
}

fun card(size: Int = 32, vararg classes: String = arrayOf("anger", "happiness")) = Card.parse(
    """{"model": "m", "input_size": $size, "classes": [${classes.joinToString { "\"$it\"" }}]}""",
    "m.tflite"
)
