package org.kerasfer.core

/** What happens: the user, the system, or an effect that is done. */
sealed interface Event {
    /** The activity is on the screen. `granted`: whether the camera may be used now. */
    data class Shown(val granted: Boolean, val lenses: Set<Lens>) : Event

    data object Hidden : Event

    data object AskPermission : Event

    data class PermissionAnswered(val granted: Boolean, val mayAskAgain: Boolean) : Event

    /** The system's question went away without an answer. */
    data object PermissionDismissed : Event

    data object OpenSettings : Event

    data class CameraOpened(val session: Int) : Event

    /** The answer to every [Effect.CloseCamera], unless the session has failed before. */
    data class CameraClosed(val session: Int) : Event

    /** The session is over, and all that it held is closed already. */
    data class CameraFailed(val session: Int, val problem: Problem) : Event

    /** The system says that another app has given a camera back. */
    data object CameraFreed : Event

    data object SwitchLens : Event

    /** The user wants to try again what failed. */
    data object Retry : Event

    data class ModelsFound(val models: List<ModelEntry>) : Event

    data class AssetsFailed(val problem: Problem) : Event

    data class ChooseModel(val id: String) : Event

    data class ChooseAccelerator(val accelerator: Accelerator) : Event

    data class ModelLoaded(val info: ModelInfo) : Event

    data class ModelFailed(val choice: ModelChoice, val problem: Problem) : Event

    data class FrameRecognized(val session: Int, val recognition: Recognition, val latency: Latency) : Event

    /** A model failed while it ran, live or on a picture. */
    data class RunFailed(val choice: ModelChoice, val detail: String) : Event

    data object PickPicture : Event

    /** `uri` is null where the user picked nothing. */
    data class PicturePicked(val uri: String?) : Event

    data class PictureRecognized(val request: Int, val recognition: Recognition) : Event

    data class PictureFailed(val request: Int, val problem: Problem) : Event

    data object BackToLive : Event

    data object ToggleCrops : Event
}

/** What is to be done; the app executes effects in their order and decides nothing. */
sealed interface Effect {
    /** Ask the system; answered by [Event.PermissionAnswered] or [Event.PermissionDismissed]. */
    data object RequestPermission : Effect

    data object OpenSettings : Effect

    /** Answered by [Event.CameraOpened] or [Event.CameraFailed]. */
    data class OpenCamera(val session: Int, val lens: Lens) : Effect

    /** Answered by [Event.CameraClosed]. */
    data class CloseCamera(val session: Int) : Effect

    /** List what the app brings along; answered by [Event.ModelsFound] or [Event.AssetsFailed]. */
    data object FindModels : Effect

    /** Load and test; answered by [Event.ModelLoaded] or [Event.ModelFailed]. The model before it is closed. */
    data class LoadModel(val choice: ModelChoice) : Effect

    data object OpenPicker : Effect

    /** Decode and recognise; answered by [Event.PictureRecognized], [Event.PictureFailed] or [Event.RunFailed]. */
    data class RecognizePicture(val request: Int, val uri: String) : Effect
}

data class Next(val state: State, val effects: List<Effect>)

/**
 * The app's whole behaviour: a state and an event give the next state and what is to be done.
 *
 * However events come, there is at most one camera and at most one model being loaded: every event only changes what is
 * wanted or what is known, and [settle] then takes one step from the second to the first.
 */
fun reduce(state: State, event: Event): Next {
    val effects = ArrayList<Effect>()
    val changed = when (event) {
        is Event.Shown -> {
            if (state.models.isEmpty()) effects += Effect.FindModels
            state.copy(visible = true, permission = permission(state.permission, event.granted), lenses = event.lenses)
                .withLensThatExists()
                .cameraMayTryAgain()
        }

        Event.Hidden -> state.copy(visible = false).cameraMayTryAgain()

        Event.AskPermission -> if (state.permission in ASKABLE) {
            effects += Effect.RequestPermission
            state.copy(permission = Permission.ASKED)
        } else {
            state
        }

        is Event.PermissionAnswered -> state.copy(
            permission = when {
                event.granted -> Permission.GRANTED
                event.mayAskAgain -> Permission.DENIED
                else -> Permission.DENIED_FOR_GOOD
            }
        )

        Event.PermissionDismissed ->
            if (state.permission == Permission.ASKED) state.copy(permission = Permission.UNASKED) else state

        Event.OpenSettings -> {
            effects += Effect.OpenSettings
            state
        }

        is Event.CameraOpened -> {
            val camera = state.camera
            if (camera is CameraState.Opening && camera.session == event.session) {
                state.copy(camera = CameraState.Open(camera.session, camera.lens))
            } else {
                state
            }
        }

        is Event.CameraClosed ->
            if (state.camera.session == event.session) state.withCamera(CameraState.Closed) else state

        is Event.CameraFailed -> when {
            state.camera.session != event.session -> state
            state.camera is CameraState.Closing -> state.withCamera(CameraState.Closed)
            else -> state.withCamera(CameraState.Failed(event.problem))
        }

        Event.CameraFreed -> {
            val problem = (state.camera as? CameraState.Failed)?.problem
            val waits = problem == Problem.CameraInUse || problem == Problem.CameraDisconnected
            if (waits) state.cameraMayTryAgain() else state
        }

        Event.SwitchLens ->
            if (state.canSwitchLens) state.copy(lens = state.lens.other).cameraMayTryAgain() else state

        Event.Retry -> retry(state, effects)

        is Event.ModelsFound -> state.copy(
            models = event.models,
            assets = null,
            wanted = state.wanted?.takeIf { choice -> event.models.any { it.id == choice.id } }
                ?: event.models.firstOrNull()?.let { ModelChoice(it.id, Accelerator.CPU) }
        )

        is Event.AssetsFailed -> state.copy(assets = event.problem)

        is Event.ChooseModel -> state.want { it.copy(id = event.id) }

        is Event.ChooseAccelerator -> state.want { it.copy(accelerator = event.accelerator) }

        is Event.ModelLoaded -> if (state.model == ModelState.Loading(event.info.choice)) {
            state.copy(model = ModelState.Ready(event.info), recognition = null, latency = null).withPictureToDo()
        } else {
            state
        }

        is Event.ModelFailed -> if (state.model == ModelState.Loading(event.choice)) {
            state.copy(model = ModelState.Failed(event.choice, event.problem), recognition = null, latency = null)
        } else {
            state
        }

        is Event.FrameRecognized -> {
            val camera = state.camera
            if (camera is CameraState.Open && camera.session == event.session) {
                state.copy(recognition = event.recognition, latency = event.latency)
            } else {
                state
            }
        }

        is Event.RunFailed -> runFailed(state, event)

        Event.PickPicture -> {
            effects += Effect.OpenPicker
            state
        }

        is Event.PicturePicked ->
            event.uri?.let { state.copy(source = Source.Picture(it, PictureStage.Waiting)) } ?: state

        is Event.PictureRecognized -> state.withPicture(event.request, PictureStage.Done(event.recognition))

        is Event.PictureFailed -> state.withPicture(event.request, PictureStage.Failed(event.problem))

        Event.BackToLive -> state.copy(source = Source.Live).cameraMayTryAgain()

        Event.ToggleCrops -> state.copy(showCrops = !state.showCrops)
    }
    return Next(settle(changed, effects), effects)
}

private val ASKABLE = setOf(Permission.UNASKED, Permission.DENIED)

/** The permission as the system tells it on return: it may have been given or taken in the settings meanwhile. */
private fun permission(known: Permission, granted: Boolean) = when {
    granted -> Permission.GRANTED
    known == Permission.GRANTED -> Permission.UNASKED
    else -> known
}

private val CameraState.session: Int?
    get() = when (this) {
        is CameraState.Opening -> session
        is CameraState.Open -> session
        is CameraState.Closing -> session
        else -> null
    }

private fun State.withLensThatExists(): State =
    if (lenses.isNullOrEmpty() || lens in lenses) this else copy(lens = lenses.first())

private fun State.withCamera(camera: CameraState) = copy(camera = camera, recognition = null, latency = null)

private fun State.cameraMayTryAgain() = if (camera is CameraState.Failed) copy(camera = CameraState.Closed) else this

private fun State.want(change: (ModelChoice) -> ModelChoice): State {
    val choice = wanted?.let(change) ?: return this
    return if (models.any { it.id == choice.id }) copy(wanted = choice, fallback = null) else this
}

private fun State.withPictureToDo() = if (source is Source.Picture && source.stage !is PictureStage.Failed) {
    copy(source = source.copy(stage = PictureStage.Waiting))
} else {
    this
}

private fun State.withPicture(request: Int, stage: PictureStage) =
    if (source is Source.Picture && source.stage == PictureStage.Running(request)) {
        copy(source = source.copy(stage = stage))
    } else {
        this
    }

private fun retry(state: State, effects: MutableList<Effect>): State {
    if (state.assets != null) {
        effects += Effect.FindModels
        return state.copy(assets = null)
    }
    val failed = state.copy(model = if (state.model is ModelState.Failed) ModelState.None else state.model)
    val source = failed.source
    if (source is Source.Picture && source.stage is PictureStage.Failed) {
        return failed.copy(source = source.copy(stage = PictureStage.Waiting))
    }
    return failed.cameraMayTryAgain()
}

/** A GPU that fails while it runs is given up for the CPU; a CPU that fails is the model's end. */
private fun runFailed(state: State, event: Event.RunFailed): State {
    val ready = state.model as? ModelState.Ready ?: return state
    if (ready.info.choice != event.choice) return state
    if (ready.info.running == Accelerator.CPU) {
        return state.copy(model = ModelState.Failed(event.choice, Problem.BrokenModel(event.choice.id, event.detail)))
    }
    return state.copy(wanted = event.choice.copy(accelerator = Accelerator.CPU), fallback = event.detail)
        .withPictureToDo()
}

private fun settle(state: State, effects: MutableList<Effect>): State =
    settlePicture(settleModel(settleCamera(state, effects), effects), effects)

private fun settleCamera(state: State, effects: MutableList<Effect>): State {
    val wants = state.visible && state.permission == Permission.GRANTED && state.source == Source.Live &&
        state.lens in state.lenses.orEmpty()
    val lens = if (wants) state.lens else null
    val close = { session: Int ->
        effects += Effect.CloseCamera(session)
        state.withCamera(CameraState.Closing(session))
    }
    return when (val camera = state.camera) {
        CameraState.Closed -> if (lens == null) {
            state
        } else {
            val session = state.sessions + 1
            effects += Effect.OpenCamera(session, lens)
            state.copy(camera = CameraState.Opening(session, lens), sessions = session)
        }

        is CameraState.Opening -> if (camera.lens == lens) state else close(camera.session)

        is CameraState.Open -> if (camera.lens == lens) state else close(camera.session)

        is CameraState.Closing, is CameraState.Failed -> state
    }
}

private fun settleModel(state: State, effects: MutableList<Effect>): State {
    val wanted = state.wanted ?: return state
    val known = when (val model = state.model) {
        ModelState.None -> null
        is ModelState.Loading -> return state
        is ModelState.Ready -> model.info.choice
        is ModelState.Failed -> model.choice
    }
    if (known == wanted) return state
    effects += Effect.LoadModel(wanted)
    return state.copy(model = ModelState.Loading(wanted))
}

private fun settlePicture(state: State, effects: MutableList<Effect>): State {
    val source = state.source as? Source.Picture ?: return state
    if (source.stage != PictureStage.Waiting || state.model !is ModelState.Ready) return state
    val request = state.sessions + 1
    effects += Effect.RecognizePicture(request, source.uri)
    return state.copy(source = source.copy(stage = PictureStage.Running(request)), sessions = request)
}
