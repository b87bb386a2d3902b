package org.kerasfer.core

/**
 * A trained model: face crops in, probabilities out. Not safe for several threads.
 *
 * @param engine the model that [card] describes; the classifier closes it.
 * @throws UnsupportedModelException the two do not fit.
 */
class Classifier(val card: Card, private val engine: Engine) : AutoCloseable {
    private val outputs = engine.outputSizes.map(::FloatArray)
    private val floats = if (engine.inputType == TensorType.FLOAT32) FloatArray(engine.inputSize) else null

    init {
        val size = card.inputSize
        if (engine.inputSize != 3 * size * size) {
            throw UnsupportedModelException(
                "${card.name} does not fit its card: it takes ${engine.inputSize} numbers, " +
                    "the card says $size x $size pixels of 3"
            )
        }
        if (engine.outputSizes != listOf(card.classes.size)) {
            throw UnsupportedModelException(
                "${card.name} does not fit its card: it has outputs of ${engine.outputSizes}, " +
                    "the card ${card.classes.size} classes"
            )
        }
    }

    val accelerator: Accelerator get() = engine.accelerator

    /** Bytes of a crop. */
    val inputBytes: Int get() = engine.inputSize

    /**
     * The probability of each of the card's classes.
     *
     * @param crop RGB bytes, `card.inputSize` squared, row by row ([Sampler]).
     * @throws EngineException the model failed, or gave what is no probability.
     */
    fun classify(crop: ByteArray): FloatArray {
        if (floats == null) {
            engine.run(crop, outputs)
        } else {
            for (i in floats.indices) floats[i] = (crop[i].toInt() and 0xFF).toFloat()
            engine.run(floats, outputs)
        }
        val probabilities = outputs[0].copyOf()
        if (probabilities.any { it.isNaN() || it.isInfinite() }) {
            throw EngineException("${card.name} gave ${probabilities.joinToString()} on the ${engine.accelerator}")
        }
        return probabilities
    }

    override fun close() = engine.close()
}

/** A model whose input or output is not what its card says. */
class UnsupportedModelException(message: String) : Exception(message)
