package org.kerasfer.core

/**
 * What a model says of one face.
 *
 * @property probabilities of each of the model's classes, in its order.
 * @property window the square that the model saw.
 * @property crop its pixels, RGB bytes: kept by the [Snapshot] and overwritten when that is filled again.
 * @property track in a video, the same number for the same face from frame to frame.
 */
data class FaceExpression(
    val face: Face,
    val probabilities: FloatArray,
    val window: Window,
    val crop: ByteArray,
    val track: Int? = null
) {
    /** Index of the most probable class. */
    val top: Int get() = probabilities.indices.maxByOrNull { probabilities[it] } ?: -1

    override fun equals(other: Any?) = other is FaceExpression && face == other.face && track == other.track &&
        window == other.window && probabilities.contentEquals(other.probabilities)

    override fun hashCode() = 31 * face.hashCode() + probabilities.contentHashCode()
}

/**
 * Where the time of one picture went.
 *
 * @property detect finding faces: the detector's input, its run, decoding.
 * @property preprocess the frame made upright, and the crops.
 * @property infer the classifier's runs, one for each face.
 */
data class Milliseconds(val detect: Double, val preprocess: Double, val infer: Double) {
    val total: Double get() = detect + preprocess + infer
}

/**
 * What a model says of one picture.
 *
 * @property card of the model that said it; null while none was loaded, and then there are no faces.
 */
data class Recognition(val faces: List<FaceExpression>, val card: Card?, val milliseconds: Milliseconds)

/** An upright picture and what was recognised in it: filled by one thread at a time, drawn by another ([Handover]). */
class Snapshot {
    val image = Image()
    var recognition = Recognition(emptyList(), null, Milliseconds(0.0, 0.0, 0.0))
        internal set

    private val crops = ArrayList<ByteArray>()

    internal fun crop(index: Int, bytes: Int): ByteArray {
        if (index == crops.size) crops += ByteArray(bytes)
        if (crops[index].size != bytes) crops[index] = ByteArray(bytes)
        return crops[index]
    }
}

/**
 * From a frame to the expressions of the faces in it.
 *
 * Owns its models: each is closed once, whatever thread replaces or closes it, and never while it runs.
 *
 * @param clock nanoseconds.
 */
class Recognizer(private val clock: () -> Long = System::nanoTime) : AutoCloseable {
    private val converter = FrameConverter()
    private val sampler = Sampler()
    private var tracker = Tracker()
    private var detector: FaceDetector? = null
    private var classifier: Classifier? = null
    private var closed = false

    /** Takes over a detector; the earlier one is closed. */
    @Synchronized
    fun use(detector: FaceDetector) {
        val old = this.detector
        if (closed) return detector.close()
        this.detector = detector
        if (old !== detector) old?.close()
    }

    /** Takes over a classifier; the earlier one is closed, and faces are smoothed anew. */
    @Synchronized
    fun use(classifier: Classifier) {
        val old = this.classifier
        if (closed) return classifier.close()
        this.classifier = classifier
        tracker = Tracker()
        if (old !== classifier) old?.close()
    }

    /** Closes the classifier; frames still become upright pictures. */
    @Synchronized
    fun dropClassifier() {
        classifier?.close()
        classifier = null
    }

    /** Forgets all faces: the next ones start anew. */
    @Synchronized
    fun restart() {
        tracker = Tracker()
    }

    /**
     * Fills a snapshot from a frame of a video.
     *
     * @param seconds the frame's time, not before the last one's.
     * @throws EngineException a model failed; the snapshot then holds the picture and no faces.
     */
    @Synchronized
    fun recognize(frame: Frame, seconds: Double, snapshot: Snapshot) {
        val start = clock()
        converter.convert(frame, snapshot.image)
        val converted = (clock() - start) / NANOSECONDS
        recognize(snapshot, 1, converted)
        snapshot.recognition = tracker.track(snapshot.recognition, seconds)
    }

    /**
     * Recognises the picture that lies in a snapshot already, by itself.
     *
     * @param levels see [FaceDetector.detect].
     * @throws EngineException a model failed; the snapshot then holds the picture and no faces.
     */
    @Synchronized
    fun recognize(snapshot: Snapshot, levels: Int = PICTURE_LEVELS) = recognize(snapshot, levels, 0.0)

    @Synchronized
    override fun close() {
        closed = true
        detector?.close()
        classifier?.close()
        detector = null
        classifier = null
    }

    private fun recognize(snapshot: Snapshot, levels: Int, converted: Double) {
        snapshot.recognition = Recognition(emptyList(), null, Milliseconds(0.0, converted, 0.0))
        val find = detector ?: return
        val model = classifier ?: return
        val card = model.card
        val start = clock()
        val faces = find.detect(snapshot.image, levels)
        val detected = clock()
        val windows = faces.map { faceWindow(it.leftEye, it.rightEye, it.box, card.margin, card.eyeHeight) }
        val crops = windows.mapIndexed { i, window ->
            snapshot.crop(i, model.inputBytes).also { sampler.sample(snapshot.image, window, card.inputSize, it) }
        }
        val cropped = clock()
        val expressions = faces.indices.map {
            FaceExpression(faces[it], model.classify(crops[it]), windows[it], crops[it])
        }
        val end = clock()
        val times = Milliseconds(
            detect = (detected - start) / NANOSECONDS,
            preprocess = converted + (cropped - detected) / NANOSECONDS,
            infer = (end - cropped) / NANOSECONDS
        )
        snapshot.recognition = Recognition(expressions, card, times)
    }

    companion object {
        /** How thoroughly single pictures are searched. */
        const val PICTURE_LEVELS = 3
        private const val NANOSECONDS = 1e6
    }
}
