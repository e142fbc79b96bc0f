#include "printed_names.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace poster {

namespace {

using Words = std::unordered_set<std::string_view>;

constexpr std::size_t kLongestName = 100;
constexpr std::size_t kMostParts = 8;
constexpr std::size_t kMostKnown = 4096;

// Metrics; digits at the end are not looked at (mAP50, top1).
const Words& measured_words() {
    static const Words words{"loss",       "losses", "logloss", "acc",          "accuracy", "f1",       "auc",
                             "auroc",      "aucpr",  "auprc",   "mae",          "mse",      "rmse",     "mape",
                             "smape",      "msle",   "rmsle",   "psnr",         "ssim",     "lpips",    "fid",
                             "bleu",       "rouge",  "meteor",  "wer",          "cer",      "ppl",      "perplexity",
                             "miou",       "giou",   "dice",    "ndcg",         "mrr",      "reward",   "rew",
                             "nll",        "kld",    "elbo",    "loglik",       "bpc",      "bpb",      "bpd",
                             "mcc",        "kappa",  "xent",    "crossentropy", "merror",   "mlogloss", "fscore",
                             "likelihood", "chrf",   "regret",  "sensitivity",  "r2",       "fitness",  "accuracies"};
    return words;
}

const Words& likely_words() {
    static const Words words{"error", "err",       "score",  "return",      "returns",     "precision", "recall",
                             "hit",   "hits",      "ap",     "kl",          "ce",          "bce",       "map",
                             "top",   "iou",       "hinge",  "entropy",     "fpr",         "tpr",       "eer",
                             "gap",   "objective", "energy", "specificity", "correlation", "pearson",   "spearman"};
    return words;
}

// Parts that say of what, or how, a metric was taken.
const Words& plain_parts() {
    static const Words words{"train",  "training", "val",   "valid", "validation", "test",    "testing",
                             "eval",   "dev",      "epoch", "step",  "avg",        "mean",    "average",
                             "ema",    "total",    "sum",   "all",   "macro",      "micro",   "weighted",
                             "best",   "max",      "min",   "std",   "batch",      "iter",    "running",
                             "smooth", "median",   "final", "last",  "cur",        "current", "ep"};
    return words;
}

// "loss_weight" is no loss.
const Words& setting_parts() {
    static const Words words{
        "weight",  "weights",     "scale",    "scaling",   "scaler",      "fn",       "func",      "function",
        "type",    "name",        "coef",     "coeff",     "coefficient", "ratio",    "threshold", "thresh",
        "thres",   "thr",         "factor",   "reduction", "smoothing",   "gamma",    "alpha",     "beta",
        "lambda",  "log",         "freq",     "frequency", "every",       "interval", "steps",     "window",
        "tol",     "tolerance",   "patience", "target",    "mode",        "dim",      "size",      "clip",
        "margin",  "temperature", "delta",    "eps",       "epsilon",     "path",     "file",      "dir",
        "device",  "start",       "end",      "limit",     "cap",         "kwargs",   "args",      "config",
        "index",   "idx",         "id",       "key",       "term",        "count",    "num",       "init",
        "retries", "retry",       "module",   "class",     "use",         "enable",   "enabled"};
    return words;
}

// Names, whole, and parts of names, whose numbers tell nothing about a model: of the machine and of the run …
const Words& stop_names() {
    static const Words words{
        "gpu",     "device",     "pid",   "port",  "id",      "idx",        "index",    "seed",    "line",
        "lineno",  "ram",        "vram",  "data",  "host",    "node",       "worker",   "workers", "thread",
        "threads", "run",        "trial", "v_num", "version", "world_size", "gb_free",  "file",    "files",
        "rank",    "local_rank", "level", "code",  "exit",    "status",     "job",      "args",    "ts",
        "python",  "torch",      "cuda",  "numpy", "process", "process_id", "thread_id"};
    return words;
}

// … and counts, times and speeds.
const Words& count_names() {
    static const Words words{"batch",
                             "bs",
                             "bsz",
                             "size",
                             "total",
                             "n",
                             "date",
                             "year",
                             "month",
                             "day",
                             "hour",
                             "hours",
                             "minutes",
                             "speed",
                             "throughput",
                             "wps",
                             "ups",
                             "wpb",
                             "wall",
                             "ips",
                             "fps",
                             "dt",
                             "epochs",
                             "batch_idx",
                             "batch_size",
                             "num_workers",
                             "took",
                             "best",
                             "patience",
                             "instances",
                             "num_batches",
                             "s",
                             "ms",
                             "remaining",
                             "downloaded",
                             "max_steps",
                             "num_steps",
                             "warmup_steps",
                             "total_steps",
                             "num_epochs",
                             "max_epochs",
                             "total_epochs",
                             "iterations_per_epoch",
                             "counter",
                             "train_wall"};
    return words;
}

const Words& stop_parts() {
    static const Words words{"time",   "timestamp", "runtime", "eta", "elapsed", "duration", "sec", "secs",
                             "second", "seconds",   "memory",  "mem", "latency", "clock",    "wps", "ups",
                             "wpb",    "fps",       "ips",     "dur", "mib",     "gib",      "mb",  "gb"};
    return words;
}

const Words& step_names() {
    static const Words words{"step",       "global_step",    "iter",        "iteration",  "it",
                             "itr",        "update",         "num_updates", "timestep",   "total_timesteps",
                             "iterations", "timesteps",      "train_step",  "globalstep", "episode",
                             "num_step",   "total_timestep", "steps",       "n_iter"};
    return words;
}

bool is_file_name(std::string_view name) {
    static const Words endings{"py",   "ipynb", "c",    "h",   "cc",   "cpp", "hpp", "cu",  "cuh",
                               "rs",   "go",    "js",   "ts",  "java", "jl",  "r",   "sh",  "txt",
                               "log",  "json",  "yaml", "yml", "toml", "csv", "so",  "pt",  "pth",
                               "ckpt", "pkl",   "npz",  "npy", "gz",   "zip", "png", "jpg", "html"};
    const auto dot = name.rfind('.');
    return dot != std::string_view::npos && endings.contains(name.substr(dot + 1));
}

// The parts of a name, in lower case: "train/mAP50-95", "valid_0's auc" without their digits: train map, valid auc.
std::vector<std::string_view> parts_of(std::string_view lower) {
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin < lower.size() && parts.size() < kMostParts;) {
        const std::size_t end = std::min(lower.find_first_of("_/.@'- ", begin), lower.size());
        std::string_view part = lower.substr(begin, end - begin);
        if (part != "f1" && part != "r2")
            while (!part.empty() && part.back() >= '0' && part.back() <= '9') part.remove_suffix(1);
        if (!part.empty() && part != "s") parts.push_back(part);
        begin = end + 1;
    }
    return parts;
}

bool is_rate(std::string_view lower) {
    if (lower.find("per_sec") != std::string_view::npos) return true;
    for (std::string_view ending : {"/s", "/sec", "/second", "/it", "/step", "/batch", "/min", "s/iter"})
        if (lower.ends_with(ending) && lower.find("loss") == std::string_view::npos) return true;
    return false;
}

bool any_in(const std::vector<std::string_view>& parts, const Words& words) {
    return std::any_of(parts.begin(), parts.end(), [&](auto part) { return words.contains(part); });
}

// The last part that is more than "train" or "avg" decides, as in English; of "loss_cls" the first.
NameKind kind_of_parts(std::vector<std::string_view> parts) {
    while (!parts.empty() && plain_parts().contains(parts.back())) parts.pop_back();
    while (parts.size() > 1 && plain_parts().contains(parts.front())) parts.erase(parts.begin());
    if (parts.empty() || any_in(parts, setting_parts())) return NameKind::open;
    for (auto part : {parts.back(), parts.front()}) {
        if (likely_words().contains(part)) return NameKind::likely;
        if (measured_words().contains(part)) return NameKind::measured;
    }
    return NameKind::open;
}

NameKind classify(std::string_view name) {
    if (name.empty() || name.size() > kLongestName || is_file_name(name)) return NameKind::none;
    const std::string lower = lower_case(name);
    static const Words levels{"info", "debug", "warning", "warn", "critical", "notice", "trace", "fatal"};
    if (lower == "epoch" || lower == "ep" || lower == "current_epoch") return NameKind::epoch;
    if (step_names().contains(lower)) return NameKind::step;
    if (stop_names().contains(lower) || count_names().contains(lower)) return NameKind::none;
    if (levels.contains(lower) || is_rate(lower)) return NameKind::none;
    const auto parts = parts_of(lower);
    if (parts.empty() || any_in(parts, stop_parts())) return NameKind::none;
    return kind_of_parts(parts);
}

} // namespace

// The same few names come again and again.
NameKind kind_of_name(std::string_view name) {
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    thread_local std::unordered_map<std::string, NameKind, Hash, std::equal_to<>> known;
    if (const auto found = known.find(name); found != known.end()) return found->second;
    if (known.size() >= kMostKnown) known.clear();
    return known.emplace(name, classify(name)).first->second;
}

std::string_view split_of_word(std::string_view word) {
    if (word.size() < 3 || word.size() > 10) return {};
    if (std::string_view("tvdeTVDE").find(word.front()) == std::string_view::npos) return {};
    static const std::unordered_map<std::string_view, std::string_view> splits{
        {"train", "train"},    {"training", "train"}, {"val", "val"},         {"valid", "val"},
        {"validation", "val"}, {"dev", "val"},        {"validate", "val"},    {"test", "test"},
        {"testing", "test"},   {"eval", "eval"},      {"evaluation", "eval"}, {"evaluating", "eval"},
        {"validating", "val"}};
    const auto found = splits.find(lower_case(word));
    return found == splits.end() ? std::string_view{} : found->second;
}

bool modifies_name(std::string_view word) {
    static const Words words{"average",
                             "avg",
                             "mean",
                             "total",
                             "running",
                             "best",
                             "final",
                             "top",
                             "cross",
                             "learning",
                             "policy",
                             "value",
                             "critic",
                             "actor",
                             "generator",
                             "discriminator",
                             "d",
                             "g",
                             "reconstruction",
                             "recon",
                             "kl",
                             "perceptual",
                             "adversarial",
                             "balanced",
                             "macro",
                             "micro",
                             "weighted",
                             "squared",
                             "absolute",
                             "root",
                             "word",
                             "character",
                             "exact",
                             "mask",
                             "box",
                             "style",
                             "content",
                             "gan",
                             "masked",
                             "lm",
                             "grad",
                             "gradient",
                             "entropy",
                             "contrastive",
                             "episode",
                             "ep"};
    return word.size() < 20 && words.contains(lower_case(word));
}

bool names_split(std::string_view name) {
    const std::string lower = lower_case(name);
    const auto parts = parts_of(lower);
    return std::any_of(parts.begin(), parts.end(), [](auto part) { return !split_of_word(part).empty(); });
}

bool connects(std::string_view word) {
    static const Words words{"at",   "after", "in",   "on",        "for", "with", "and",  "over",
                             "best", "avg",   "mean", "min",       "max", "from", "vs",   "to",
                             "step", "epoch", "iter", "iteration", "lr",  "of",   "while"};
    return word.size() < 10 && words.contains(lower_case(word));
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return lower;
}

} // namespace poster
