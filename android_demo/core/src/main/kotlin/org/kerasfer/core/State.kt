package org.kerasfer.core

enum class Permission {
    /** Not asked yet: why the camera is needed is on the screen. */
    UNASKED,

    /** The system's question is on the screen. */
    ASKED,
    GRANTED,
    DENIED,

    /** The system does not ask again: only its settings help. */
    DENIED_FOR_GOOD
}

/** The camera, as far as the app knows. A session is one opening; what comes from an earlier one is ignored. */
sealed interface CameraState {
    data object Closed : CameraState

    data class Opening(val session: Int, val lens: Lens) : CameraState

    data class Open(val session: Int, val lens: Lens) : CameraState

    data class Closing(val session: Int) : CameraState

    data class Failed(val problem: Problem) : CameraState
}

sealed interface ModelState {
    data object None : ModelState

    data class Loading(val choice: ModelChoice) : ModelState

    data class Ready(val info: ModelInfo) : ModelState

    data class Failed(val choice: ModelChoice, val problem: Problem) : ModelState
}

/** What the app looks at. */
sealed interface Source {
    data object Live : Source

    /** A picture of the gallery; `uri` is what the picker gave. */
    data class Picture(val uri: String, val stage: PictureStage) : Source
}

sealed interface PictureStage {
    /** For a model. */
    data object Waiting : PictureStage

    data class Running(val request: Int) : PictureStage

    data class Done(val recognition: Recognition) : PictureStage

    data class Failed(val problem: Problem) : PictureStage
}

/**
 * All that the screen shows and all that decides what happens next.
 *
 * @property visible between the activity's start and stop.
 * @property lenses that the phone has; null while unknown.
 * @property wanted the model that the user asks for.
 * @property recognition of the newest live frame.
 * @property fallback why the GPU was given up while it ran.
 * @property showCrops "show what the model sees".
 * @property sessions how many cameras were opened and pictures begun so far: numbers are never used twice.
 */
data class State(
    val permission: Permission = Permission.UNASKED,
    val visible: Boolean = false,
    val lens: Lens = Lens.FRONT,
    val lenses: Set<Lens>? = null,
    val camera: CameraState = CameraState.Closed,
    val models: List<ModelEntry> = emptyList(),
    val wanted: ModelChoice? = null,
    val model: ModelState = ModelState.None,
    val assets: Problem? = null,
    val source: Source = Source.Live,
    val recognition: Recognition? = null,
    val latency: Latency? = null,
    val fallback: String? = null,
    val showCrops: Boolean = false,
    val sessions: Int = 0
) {
    /** What fills the screen. */
    val screen: Screen
        get() {
            val live = source == Source.Live
            val modelProblem = (model as? ModelState.Failed)?.problem
            val picture = (source as? Source.Picture)?.stage
            return when {
                assets != null -> Screen.Failure(assets)
                modelProblem != null -> Screen.Failure(modelProblem)
                picture is PictureStage.Failed -> Screen.Failure(picture.problem)
                picture is PictureStage.Done -> Screen.Picture(picture.recognition)
                picture != null -> Screen.Picture(null)
                permission != Permission.GRANTED -> Screen.AskPermission(permission)
                live && lenses?.isEmpty() == true -> Screen.Failure(Problem.NoCamera)
                camera is CameraState.Failed -> Screen.Failure(camera.problem)
                else -> Screen.Live(recognition)
            }
        }

    /** What is said beside it. */
    val notices: List<Notice>
        get() = buildList {
            if (model is ModelState.Loading) add(Notice.LoadingModel)
            ((model as? ModelState.Ready)?.info?.fallback ?: fallback)?.let { add(Notice.Fallback(it)) }
            val shown = when (val screen = screen) {
                is Screen.Live -> screen.recognition
                is Screen.Picture -> screen.recognition
                else -> null
            }
            if (shown?.card != null && shown.faces.isEmpty()) add(Notice.NoFace)
        }

    val canSwitchLens: Boolean get() = source == Source.Live && lenses.orEmpty().size > 1
}

sealed interface Screen {
    /** Why the camera is needed, a button that asks ([Permission.UNASKED], [Permission.DENIED]) or opens the settings. */
    data class AskPermission(val permission: Permission) : Screen

    /** The camera's picture; `recognition` is null until the first frame. */
    data class Live(val recognition: Recognition?) : Screen

    /** A picture of the gallery; `recognition` is null while it is worked on. */
    data class Picture(val recognition: Recognition?) : Screen

    data class Failure(val problem: Problem) : Screen
}

sealed interface Notice {
    data object LoadingModel : Notice

    data object NoFace : Notice

    /** The model runs on the CPU though the GPU was asked for. */
    data class Fallback(val reason: String) : Notice
}
