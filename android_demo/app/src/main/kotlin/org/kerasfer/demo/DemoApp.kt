package org.kerasfer.demo

import android.app.Application
import org.kerasfer.core.EngineFactory
import java.io.InputStream

/** Where the app meets the phone: tests put in frames, assets, a runtime and a clock of their own, and nothing else. */
open class DemoApp : Application() {
    open fun frames(): FrameSource = CameraSource(this)

    /** What `python -m export.android` put in. */
    open fun asset(name: String): InputStream = assets.open(name)

    open fun engines(): EngineFactory = phoneEngines

    /** Nanoseconds. */
    open fun clock(): Long = System.nanoTime()
}
