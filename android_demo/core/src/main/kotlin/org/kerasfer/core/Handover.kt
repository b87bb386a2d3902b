package org.kerasfer.core

import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger

/**
 * Lets one frame through at a time: what arrives meanwhile is refused and never queued, so a slow model shows fewer
 * frames and not older ones.
 *
 *     if (gate.enter()) worker.execute { try { ... } finally { frame.close(); gate.leave() } } else frame.close()
 */
class FrameGate {
    private val busy = AtomicBoolean()
    private val refused = AtomicInteger()

    /** Frames that were refused. */
    val dropped: Int get() = refused.get()

    /** Whether the frame may be worked on; if so, [leave] must follow. */
    fun enter(): Boolean = busy.compareAndSet(false, true).also { if (!it) refused.incrementAndGet() }

    fun leave() {
        check(busy.compareAndSet(true, false)) { "no frame is in work" }
    }
}

/**
 * Hands things that are filled again and again from the thread that fills them to the one that shows them, without
 * copying and without waiting: three of them, of which each thread holds one and the newest finished one lies between.
 */
class Handover<T : Any>(make: () -> T) {
    private var filled = make()
    private var waiting = make()
    private var shown = make()
    private var fresh = false
    private var any = false

    /** The one to fill; the filling thread's alone until [publish]. */
    @Synchronized
    fun back(): T = filled

    /** Makes what was filled the newest. */
    @Synchronized
    fun publish() {
        filled = waiting.also { waiting = filled }
        fresh = true
        any = true
    }

    /** The newest that was published, or null before the first; the showing thread's alone until it asks again. */
    @Synchronized
    fun front(): T? {
        if (fresh) {
            shown = waiting.also { waiting = shown }
            fresh = false
        }
        return if (any) shown else null
    }

    /** Nothing to show until the next [publish]. */
    @Synchronized
    fun clear() {
        fresh = false
        any = false
    }
}
