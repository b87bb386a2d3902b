package org.kerasfer.demo

import org.kerasfer.core.Frame
import org.kerasfer.core.Lens
import org.kerasfer.core.Problem
import java.util.concurrent.atomic.AtomicBoolean

/** Where frames come from: the phone's cameras, or files in tests. */
interface FrameSource {
    /** What there is to look through. */
    fun lenses(): Set<Lens>

    /** Begins to open a camera; what becomes of it is told to the [listener], on a thread of the source's own. */
    fun open(lens: Lens, listener: Listener): Session

    /** Calls [freed] whenever another app gives a camera back, until it is set again. */
    fun watch(freed: (() -> Unit)?)

    /** One opening of a camera. */
    interface Session {
        /** Begins to close it; [Listener.closed] or [Listener.failed] follows, once. */
        fun close()
    }

    interface Listener {
        fun opened()

        /** The receiver closes the frame, on any thread. */
        fun frame(frame: HeldFrame)

        /** The session is over: all that it held is given back. */
        fun closed()

        /** The session is over by itself: all that it held is given back. */
        fun failed(problem: Problem)
    }
}

/**
 * A frame that its source waits for.
 *
 * @property seconds when it was taken; later frames have larger ones.
 */
class HeldFrame(val frame: Frame, val seconds: Double, private val release: () -> Unit) : AutoCloseable {
    private val held = AtomicBoolean(true)

    override fun close() {
        if (held.getAndSet(false)) release()
    }
}
