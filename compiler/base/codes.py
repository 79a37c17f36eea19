"""Every diagnostic code that slmc can give, in one table.

A code is stable: it is never renumbered and never reused. Its summary is fixed text;
names from the user's files go into the diagnostic's message. Each code has a page in
`docs/explain/` whose wrong example raises exactly that code.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Exit(IntEnum):
    """Exit codes of the `slmc` command."""

    FINE = 0
    ERRORS = 1
    USAGE = 2
    CHANGES_PENDING = 3
    GATE_FAILED = 4
    BUILD_FAILED = 5


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING


class Code(Enum):
    """`NAME = id, slug, severity, summary[, exit code]`."""

    # 1xx: text that is not the YAML slmc reads
    NOT_UTF8 = "SLM101", "not-utf8", _ERROR, "File is not UTF-8"
    BYTE_ORDER_MARK = "SLM102", "byte-order-mark", _ERROR, "File begins with a byte order mark"
    TAB = "SLM103", "tab-indentation", _ERROR, "Tab used as indentation"
    YAML_SYNTAX = "SLM104", "yaml-syntax", _ERROR, "Invalid YAML"
    DUPLICATE_KEY = "SLM105", "duplicate-key", _ERROR, "Duplicate key"
    EMPTY_FILE = "SLM106", "empty-file", _ERROR, "File is empty"
    ALIAS_EXPANSION = "SLM107", "alias-expansion", _ERROR, "Aliases expand to too many values"
    UNSUPPORTED_YAML = "SLM108", "unsupported-yaml", _ERROR, "YAML feature that blueprints do not use"

    # 2xx: blueprints whose values or names are wrong
    UNKNOWN_KEY = "SLM201", "unknown-key", _ERROR, "Unknown key"
    WRONG_TYPE = "SLM202", "wrong-type", _ERROR, "Value has the wrong type"
    UNKNOWN_REFERENCE = "SLM203", "unknown-reference", _ERROR, "Unknown reference"
    MISSING_KEY = "SLM204", "missing-key", _ERROR, "Required key is missing"
    BAD_VALUE = "SLM205", "bad-value", _ERROR, "Value is not allowed"
    DUPLICATE_DEFINITION = "SLM206", "duplicate-definition", _ERROR, "Name is defined twice"
    EXTENDS_CYCLE = "SLM207", "extends-cycle", _ERROR, "Device classes extend each other in a circle"
    OUTSIDE_WORKSPACE = "SLM208", "outside-workspace", _ERROR, "Path leaves the workspace"
    MISSING_FILE = "SLM209", "missing-file", _ERROR, "File does not exist"
    UNSUPPORTED_VERSION = "SLM210", "unsupported-version", _ERROR, "Unsupported apiVersion or kind"
    NO_BLUEPRINT = "SLM211", "no-blueprint", _ERROR, "No blueprint in this folder"
    INCOMPLETE_CLASS = "SLM212", "incomplete-class", _ERROR, "Device class lacks a fact"

    # 3xx: inventories and overlays
    MISSING_COLUMN = "SLM301", "missing-column", _ERROR, "Inventory lacks a column"
    DUPLICATE_DEVICE = "SLM302", "duplicate-device", _ERROR, "Device id is repeated"
    RAGGED_ROW = "SLM303", "ragged-row", _ERROR, "Row has the wrong number of fields"
    UNKNOWN_CLASS = "SLM304", "unknown-device-class", _ERROR, "Device class is not declared"
    BAD_ROW = "SLM305", "bad-row", _ERROR, "Inventory row cannot be read"
    UNSAFE_ID = "SLM306", "unsafe-device-id", _ERROR, "Device id is not a safe file name"
    OVERLAY_UNUSED = "SLM307", "overlay-unused", _WARNING, "Overlay matches no device"
    RUN_UNUSED = "SLM308", "run-unused", _WARNING, "Run matches no device"
    OVERLAY_CONFLICT = "SLM309", "overlay-conflict", _ERROR, "Overlays of one rank disagree"
    NOT_OVERRIDABLE = "SLM310", "not-overridable", _ERROR, "Level may not set this value"
    CLAIMED_TWICE = "SLM311", "device-claimed-twice", _ERROR, "Device belongs to two fleets"

    # 4xx: gates
    GATE_FAILED = "SLM401", "gate-failed", _ERROR, "Gate failed", Exit.GATE_FAILED
    GATE_UNDECIDED = "SLM402", "gate-undecided", _ERROR, "Gate cannot be decided", Exit.GATE_FAILED
    IMPOSSIBLE_GATE = "SLM403", "impossible-gate", _ERROR, "No result can pass this gate", Exit.GATE_FAILED
    NO_CANDIDATE = "SLM404", "no-candidate", _ERROR, "No recipe of a choice suits the device class", Exit.GATE_FAILED
    CANDIDATE_DROPPED = "SLM405", "candidate-dropped", _WARNING, "Recipe of a choice does not apply to the model"
    ANSWERS_DIFFER = "SLM406", "answers-differ", _ERROR, "Golden answers do not come out", Exit.GATE_FAILED

    # 5xx: models and builds
    NOT_ONNX = "SLM501", "not-onnx", _ERROR, "Model file is not a readable ONNX model", Exit.BUILD_FAILED
    EXTERNAL_DATA = (
        "SLM502",
        "external-data",
        _ERROR,
        "External data of the model is missing or short",
        Exit.BUILD_FAILED,
    )
    UNSUPPORTED_MODEL = (
        "SLM503",
        "unsupported-model",
        _ERROR,
        "Model does not have the shape that its task needs",
        Exit.BUILD_FAILED,
    )
    STEP_FAILED = "SLM504", "step-failed", _ERROR, "Recipe step failed", Exit.BUILD_FAILED
    STEP_IDLE = "SLM505", "step-without-effect", _WARNING, "Recipe step changed nothing"
    EVALUATION_FAILED = "SLM506", "evaluation-failed", _ERROR, "Evaluation failed", Exit.BUILD_FAILED
    CORRUPT_BLOB = "SLM507", "corrupt-blob", _WARNING, "Blob in the store was corrupt"
    NOT_REPRODUCED = "SLM508", "not-reproduced", _ERROR, "Build differs from the locked digest", Exit.BUILD_FAILED
    BAD_EVALUATION_DATA = "SLM509", "bad-evaluation-data", _ERROR, "Evaluation data cannot be used"
    STEP_INAPPLICABLE = (
        "SLM510",
        "step-inapplicable",
        _ERROR,
        "Recipe step does not apply to this model",
        Exit.BUILD_FAILED,
    )
    STEP_PARTIAL = "SLM511", "step-partial", _WARNING, "Recipe step left a part of the model as it was"
    CUSTOM_OPERATOR = (
        "SLM514",
        "custom-operator",
        _ERROR,
        "Model has an operator that onnxruntime does not have",
        Exit.BUILD_FAILED,
    )
    SOURCE_NOT_FETCHED = "SLM517", "source-not-fetched", _ERROR, "Source has not been fetched"
    REPEATED_TEXTS = "SLM518", "repeated-texts", _WARNING, "Evaluation data repeats a text"
    LOST_SPARSITY = "SLM516", "lost-sparsity", _WARNING, "Later step undid sparsity"
    NON_FINITE_WEIGHTS = (
        "SLM512",
        "non-finite-weights",
        _ERROR,
        "Weights of the model are NaN or infinite",
        Exit.BUILD_FAILED,
    )
    BAD_CALIBRATION_DATA = (
        "SLM513",
        "bad-calibration-data",
        _ERROR,
        "Calibration data cannot be used",
        Exit.BUILD_FAILED,
    )
    CONVERTER_MISSING = "SLM515", "converter-missing", _ERROR, "Converter is not installed", Exit.BUILD_FAILED
    NOT_LOADED = "SLM519", "not-loaded", _ERROR, "Artifact does not load on the runtime", Exit.BUILD_FAILED
    RUNTIME_MISSING = "SLM520", "runtime-missing", _ERROR, "Runtime to test with is not installed", Exit.BUILD_FAILED

    # 6xx: fit
    MEMORY_EXCEEDED = "SLM601", "memory-exceeded", _ERROR, "Runs do not fit the memory of the device class"
    STORAGE_EXCEEDED = "SLM602", "storage-exceeded", _ERROR, "Artifacts do not fit the storage of the device class"
    SATURATING_INT8 = "SLM603", "saturating-int8", _WARNING, "8-bit products overflow on this device class"
    KILLED_FOR_MEMORY = "SLM604", "killed-for-memory", _ERROR, "Run is killed at its memory limit", Exit.GATE_FAILED
    CONTEXT_EXCEEDED = "SLM605", "context-exceeded", _ERROR, "Context is longer than the model's"

    # 7xx: targets and rendering
    UNDEFINED_VARIABLE = "SLM701", "undefined-variable", _ERROR, "Template names an undefined variable"
    TEMPLATE_ERROR = "SLM702", "template-error", _ERROR, "Template cannot be rendered"
    BAD_TARGET = "SLM703", "bad-target", _ERROR, "Target definition is wrong"
    TARGET_NEEDS = "SLM704", "target-needs", _ERROR, "Target's needs are not met"
    OUTPUT_CLASH = "SLM705", "output-clash", _ERROR, "Two outputs have the same path"
    FILE_TOO_LARGE = "SLM706", "file-too-large", _ERROR, "File is larger than its reader takes"
    UNWATCHED_OBJECTIVE = "SLM707", "unwatched-objective", _WARNING, "Nothing can watch the objective"

    # 8xx: lock and committed output
    LOCK_OUTDATED = "SLM801", "lock-outdated", _ERROR, "Lock does not match the blueprint"
    LOCK_UNREADABLE = "SLM802", "lock-unreadable", _ERROR, "Lock cannot be read"
    EDITED_BY_HAND = "SLM803", "edited-by-hand", _WARNING, "Generated file was edited by hand"
    OCCUPIED_PATH = "SLM804", "occupied-path", _ERROR, "Output path holds a file that slmc did not write"

    UNKNOWN_REVISION = "SLM805", "unknown-revision", _ERROR, "Git revision does not exist"
    UNREADABLE_REVISION = "SLM806", "unreadable-revision", _WARNING, "Workspace of a Git revision has errors"

    NOT_COMPILED = "SLM807", "not-compiled", _ERROR, "Workspace has no lock"
    NOT_IN_STORE = "SLM808", "not-in-store", _ERROR, "Artifact is not in the store"
    BAD_CREDENTIALS = "SLM809", "bad-credentials", _ERROR, "Credentials for the registry cannot be read"
    REGISTRY_REFUSED = "SLM810", "registry-refused", _ERROR, "Registry refused"
    REGISTRY_UNREACHABLE = "SLM811", "registry-unreachable", _ERROR, "Registry does not answer"
    BLOB_ABSENT = "SLM812", "blob-absent", _ERROR, "Artifact was not pushed there"
    BLOB_DIFFERS = "SLM813", "blob-differs", _ERROR, "Blob is not what its digest says"
    BUNDLE_DIFFERS = "SLM814", "bundle-differs", _ERROR, "Bundle is not what the lock says"
    CANNOT_SIGN = "SLM815", "cannot-sign", _ERROR, "Release cannot be signed"
    KEY_IN_WORKSPACE = "SLM816", "key-in-workspace", _ERROR, "Signing key lies in the workspace"

    # 9xx: the machine
    CANNOT_READ = "SLM901", "cannot-read", _ERROR, "File cannot be read"
    CANNOT_WRITE = "SLM902", "cannot-write", _ERROR, "File cannot be written"
    DISK_FULL = "SLM903", "disk-full", _ERROR, "Disk is full", Exit.BUILD_FAILED
    NO_GIT = "SLM904", "no-git", _ERROR, "Git cannot be used"
    INTERNAL = "SLM999", "internal-error", _ERROR, "Internal error of slmc", Exit.BUILD_FAILED

    def __init__(self, id: str, slug: str, severity: Severity, summary: str, exit: Exit = Exit.ERRORS) -> None:
        self.id = id
        self.slug = slug
        self.severity = severity
        self.summary = summary
        self.exit = exit if severity is Severity.ERROR else Exit.FINE
