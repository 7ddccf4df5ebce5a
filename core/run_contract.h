// All that the control program and a training program share: names of variables and folders, and exit codes.
// Nothing else couples the two: any program that keeps to this page can be submitted.
#pragma once

namespace lockstep::contract {

// Set by the supervisor for every rank.
inline constexpr const char* kRunDir = "LOCKSTEP_RUN_DIR";  // absolute path of the run directory
inline constexpr const char* kRunId = "LOCKSTEP_RUN_ID";
inline constexpr const char* kExperiment = "LOCKSTEP_EXPERIMENT";
inline constexpr const char* kAttempt = "LOCKSTEP_ATTEMPT";  // "1" for the first start of the processes
inline constexpr const char* kExpectedWorldSize = "LOCKSTEP_EXPECTED_WORLD_SIZE";
// What the user gave as resume_from, the same in all attempts; without it "auto" in a further attempt, and else unset.
// A worker in an attempt after the first, or told "auto", looks for its own newest checkpoint first.
inline constexpr const char* kResumeFrom = "LOCKSTEP_RESUME_FROM";
inline constexpr const char* kAzureRunId = "AZUREML_RUN_ID";  // the same as kRunId, for scripts written for Azure ML

// Read by the program that starts each rank, where it is set: a folder on the node's own disk for copies of data sets.
inline constexpr const char* kStage = "LOCKSTEP_STAGE";
// NAME and LOCKSTEP_INPUT_NAME hold the path of the input NAME on this node.
inline constexpr const char* kInput = "LOCKSTEP_INPUT_";

// All variables whose values are Lockstep's alone; nobody else can give them.
inline constexpr const char* kSetForRanks[] = {
    kRunDir,     kRunId, kExperiment,  kAttempt,     kExpectedWorldSize, kResumeFrom,
    kAzureRunId, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK"};

// Below the run directory. Ranks run in work/, where ./outputs and ./logs are links to these two.
inline constexpr const char* kOutputs = "outputs";
inline constexpr const char* kLogs = "logs";
inline constexpr const char* kCheckpoints = "outputs/checkpoints";
inline constexpr const char* kAttempts =
    "attempts";                                     // attempts/001/: attempt.json, end.json, error and heartbeat files
inline constexpr const char* kControl = "control";  // control/cancel, control/checkpoint: requests, by existence

// A rank that ends with an error leaves attempts/NNN/error_<rank>.json: {"rank", "host", "kind", "what", "where",
// "hint"}.
inline constexpr const char* kErrorPrefix = "error_";
// Rank 0 leaves attempts/NNN/started (empty) once its first step begins: the run is then Running and not only Starting.
inline constexpr const char* kStarted = "started";
// attempts/NNN/progress, one line for people, replaced about once a second while rank 0 works.
inline constexpr const char* kProgress = "progress";

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;     // bad input: never retried
inline constexpr int kExitRequeue = 75;  // checkpointed, wants to be started again

}  // namespace lockstep::contract
