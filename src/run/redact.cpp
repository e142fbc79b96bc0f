#include "redact.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cstring>

// Two questions decide: does the name say secret, and does the value look like one? "key" and "token" are everyday
// words of machine learning (sort_key, max_tokens, pad_token), so for these the neighbouring words and the value count
// too.

namespace poster {

namespace {

using std::string_view;

// ---- characters and words

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
    return is_upper(c) || is_lower(c) || is_digit(c);
}
bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
bool is_name_char(char c) {
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

std::string lowered(string_view text) {
    std::string low{text};
    std::transform(low.begin(), low.end(), low.begin(), [](char c) { return is_upper(c) ? char(c - 'A' + 'a') : c; });
    return low;
}

bool starts_with(string_view text, string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}
bool ends_with(string_view text, string_view suffix) {
    return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

template <std::size_t N>
bool one_of(string_view word, const string_view (&list)[N]) {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

struct Name {
    std::vector<std::string> words;  // lower case, without trailing digits
    std::vector<std::size_t> parts;  // which dotted part each word stands in
    std::vector<std::string> chunks; // lower case, split at separators only: "apikey" of "APIkey"
    bool shouting = false;           // like an environment variable: no lower-case letter in the last part

    bool same_part(std::size_t a, std::size_t b) const { return parts[a] == parts[b]; }
    const std::string& last() const { return words.back(); }
};

void add_word(Name& name, string_view word, std::size_t part) {
    std::size_t length = word.size();
    while (length > 1 && is_digit(word[length - 1])) --length;
    name.words.push_back(lowered(word.substr(0, length)));
    name.parts.push_back(part);
}

// "fooBarHTTPKey" is foo, Bar, HTTP, Key.
void add_camel_words(Name& name, string_view chunk, std::size_t part) {
    std::size_t begin = 0;
    for (std::size_t i = 1; i < chunk.size(); ++i) {
        const bool rises = !is_upper(chunk[i - 1]) && is_upper(chunk[i]);
        const bool acronym_ends =
            is_upper(chunk[i - 1]) && is_upper(chunk[i]) && i + 1 < chunk.size() && is_lower(chunk[i + 1]);
        if (!rises && !acronym_ends) continue;
        add_word(name, chunk.substr(begin, i - begin), part);
        begin = i;
    }
    add_word(name, chunk.substr(begin), part);
}

Name parse_name(string_view text) {
    Name name;
    std::size_t part = 0;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        while (end < text.size() && is_alnum(text[end])) ++end;
        if (end > i) {
            add_camel_words(name, text.substr(i, end - i), part);
            name.chunks.push_back(lowered(text.substr(i, end - i)));
        }
        if (end < text.size() && (text[end] == '.' || text[end] == '/' || text[end] == ':' || text[end] == '@')) ++part;
        i = end + 1;
    }
    const string_view last_part = text.substr(text.find_last_of("./:@") + 1);
    name.shouting = std::any_of(last_part.begin(), last_part.end(), is_upper) &&
                    std::none_of(last_part.begin(), last_part.end(), is_lower);
    return name;
}

// ---- names

constexpr string_view kStrong[] = {
    "password",   "passwords",     "passwd",    "passphrase",  "passcode",  "secret",       "secrets",
    "credential", "credentials",   "creds",     "cred",        "bearer",    "cookie",       "cookies",
    "jwt",        "authorization", "apikey",    "apikeys",     "accesskey", "privatekey",   "secretkey",
    "sessionkey", "authkey",       "authtoken", "accesstoken", "apitoken",  "sessiontoken", "pwd"};
// One word in which nobody marked where the parts meet: PGPASSWORD, MYSQLPASSWORD, openaiapikey.
constexpr string_view kStrongEndings[] = {"password",  "passwd",       "passphrase",   "apikey",      "accesskey",
                                          "secretkey", "privatekey",   "authtoken",    "accesstoken", "apitoken",
                                          "authkey",   "sessionkey",   "sessiontoken", "hftoken",     "githubtoken",
                                          "bottoken",  "clientsecret", "refreshtoken", "bearertoken"};
// "api key", "access tokens": beyond doubt.
constexpr string_view kVouching[] = {
    "api",          "access",     "secret",  "private",     "auth",     "oauth",     "bearer",   "refresh",  "session",
    "signing",      "encryption", "master",  "deploy",      "service",  "client",    "consumer", "account",  "license",
    "subscription", "ssh",        "webhook", "security",    "personal", "ci",        "push",     "registry", "github",
    "gitlab",       "gh",         "hf",      "huggingface", "openai",   "anthropic", "wandb",    "aws",      "azure",
    "gcp",          "google",     "slack",   "telegram",    "discord",  "vault",     "npm",      "pypi",     "comet",
    "neptune",      "cohere",     "gemini",  "csrf"};
constexpr string_view kVouchingPlural[] = {"api",   "access", "secret",  "private", "auth",
                                           "oauth", "bearer", "refresh", "session"};
// A last word that says the value is about the secret, not the secret.
constexpr string_view kAbout[] = {
    "file",   "files",  "filename", "path",   "paths",    "dir",     "directory",  "folder",   "location", "name",
    "names",  "method", "methods",  "type",   "types",    "mode",    "helper",     "provider", "policy",   "length",
    "len",    "size",   "timeout",  "ttl",    "expiry",   "expires", "expiration", "lifetime", "env",      "var",
    "field",  "column", "version",  "count",  "min",      "max",     "required",   "enabled",  "enable",   "disabled",
    "stdin",  "prompt", "sock",     "socket", "backend",  "scheme",  "strategy",   "class",    "plugin",   "url",
    "uri",    "host",   "hostname", "port",   "realm",    "domain",  "server",     "endpoint", "interval", "rotation",
    "cache",  "store",  "manager",  "user",   "username", "format",  "algorithm",  "alg",      "strength", "limit",
    "limits", "budget", "jar",      "agent",  "info",     "dim",     "dims",       "index",    "ring",     "group"};
constexpr string_view kHarmlessNear[] = {
    "max",       "min",        "num",      "n",         "total",     "sort",    "sorted",       "cls",
    "pad",       "padding",    "eos",      "bos",       "mask",      "masked",  "sep",          "unk",
    "unknown",   "special",    "per",      "dim",       "dims",      "size",    "len",          "length",
    "count",     "counts",     "ids",      "index",     "indices",   "idx",     "type",         "types",
    "primary",   "foreign",    "monitor",  "metric",    "metrics",   "group",   "groupby",      "public",
    "pub",       "order",      "orderby",  "dict",      "column",    "col",     "field",        "budget",
    "limit",     "pos",        "position", "image",     "images",    "img",     "new",          "vision",
    "visual",    "audio",      "video",    "prefix",    "suffix",    "class",   "begin",        "eot",
    "eod",       "eom",        "im",       "decoder",   "encoder",   "byte",    "bytes",        "sub",
    "subword",   "word",       "char",     "prompt",    "learnable", "distill", "distillation", "latent",
    "summary",   "separator",  "blank",    "fim",       "skip",      "drop",    "dropout",      "keep",
    "patch",     "src",        "tgt",      "forced",    "suppress",  "ignore",  "multi",        "loss",
    "reward",    "think",      "thinking", "label",     "labels",    "join",    "partition",    "lookup",
    "merge",     "compare",    "cmp",      "rng",       "prng",      "seed",    "heads",        "embed",
    "embedding", "embeddings", "attn",     "attention", "kv",        "early",   "checkpoint",   "ckpt",
    "plot",      "hot",        "arrow",    "press",     "shortcut",  "avg",     "mean",         "std",
    "sum",       "ratio",      "rate",     "levels",    "steps",     "ctx",     "completion",   "generated",
    "generate",  "trainable",  "fill"};
// Of a configuration key only: TEST_TOKEN and DATA_KEY are variables with secrets.
constexpr string_view kHarmlessInConfig[] = {
    "test",   "data",    "config",  "source",   "target",   "targets",  "global", "local",    "cache",  "node",
    "object", "bucket",  "item",    "state",    "instance", "register", "input",  "inputs",   "output", "outputs",
    "text",   "value",   "values",  "hash",     "random",   "single",   "train",  "val",      "eval",   "result",
    "head",   "memory",  "start",   "end",      "stop",     "next",     "prev",   "previous", "first",  "last",
    "best",   "param",   "params",  "row",      "block",    "step",     "level",  "x",        "y",      "dist",
    "score",  "context", "feature", "features", "dataset",  "batch",    "extra",  "filter",   "query"};
constexpr string_view kCarriesAuth[] = {"header", "headers", "string", "data", "code",
                                        "hash",   "config",  "json",   "basic"};
constexpr string_view kPassOwners[] = {"db",    "smtp",     "mysql",    "pg",    "postgres", "redis", "mail",
                                       "email", "ftp",      "ssh",      "sudo",  "http",     "proxy", "root",
                                       "admin", "login",    "key",      "mongo", "docker",   "imap",  "ldap",
                                       "user",  "database", "rabbitmq", "vpn",   "wifi"};

enum class Verdict {
    harmless,
    likely, // the value decides
    secret,
};

bool harmless_neighbour(const Name& name, std::size_t at) {
    for (std::size_t i = 0; i < name.words.size(); ++i) {
        const bool harmless =
            one_of(name.words[i], kHarmlessNear) || (!name.shouting && one_of(name.words[i], kHarmlessInConfig));
        if (i == at || !harmless) continue;
        const bool parent = i + 1 == at && (at + 1 == name.words.size()); // "sort.key"
        if (name.same_part(i, at) || parent) return true;
    }
    return false;
}

// A "key", "keys", "token" or "tokens" at `at`.
Verdict judge_key(const Name& name, std::size_t at) {
    const bool plural = name.words[at].back() == 's';
    const bool last = at + 1 == name.words.size();
    if (!last && one_of(name.last(), kAbout)) return Verdict::harmless;
    if (at > 0 && (plural ? one_of(name.words[at - 1], kVouchingPlural) : one_of(name.words[at - 1], kVouching))) {
        const bool counted = one_of(name.words.front(), {"max", "num", "n", "min"}) && name.same_part(0, at);
        return counted ? Verdict::harmless : Verdict::secret;
    }
    if (plural || harmless_neighbour(name, at)) return Verdict::harmless;
    if (last) return Verdict::likely;
    // "token_mixer", "key_padding_mask", "KeyError", but also API_TOKEN_GITHUB.
    return name.shouting && name.words[at + 1] != "id" ? Verdict::likely : Verdict::harmless;
}

Verdict judge_auth(const Name& name, std::size_t at) {
    if (at + 1 == name.words.size()) return Verdict::likely;
    return one_of(name.words[at + 1], kCarriesAuth) ? Verdict::secret : Verdict::harmless;
}

Verdict judge_pass(const Name& name, std::size_t at) {
    if (at + 1 != name.words.size()) return Verdict::harmless; // pass_rate
    if (at > 0 && one_of(name.words[at - 1], kPassOwners)) return Verdict::secret;
    return name.shouting || name.words.size() == 1 ? Verdict::likely : Verdict::harmless; // two_pass
}

Verdict judge_strong(const Name& name, std::size_t at, string_view text) {
    if (name.words[at] == "pwd" && (text == "PWD" || text == "OLDPWD"))
        return Verdict::harmless; // the working directory
    const bool last = at + 1 == name.words.size();
    return !last && one_of(name.last(), kAbout) ? Verdict::harmless : Verdict::secret;
}

Verdict judge_word(const Name& name, std::size_t at, string_view text) {
    const std::string& word = name.words[at];
    if (one_of(word, kStrong)) return judge_strong(name, at, text);
    if (one_of(word, {"key", "keys", "token", "tokens"})) return judge_key(name, at);
    if (word == "auth") return judge_auth(name, at);
    if (word == "pass") return judge_pass(name, at);
    if (word == "pat" && at > 0 && one_of(name.words[at - 1], kVouching)) return Verdict::secret;
    return Verdict::harmless;
}

Verdict judge(string_view text) {
    const Name name = parse_name(text);
    Verdict worst = Verdict::harmless;
    for (std::size_t i = 0; i < name.words.size(); ++i) worst = std::max(worst, judge_word(name, i, text));
    if (worst == Verdict::secret || name.words.empty() || one_of(name.last(), kAbout)) return worst;
    for (const auto& chunk : name.chunks) {
        const bool strong = std::any_of(std::begin(kStrongEndings), std::end(kStrongEndings),
                                        [&](string_view ending) { return ends_with(chunk, ending); });
        if (strong || one_of(chunk, kStrong)) worst = std::max(worst, text == "PWD" ? worst : Verdict::secret);
    }
    return worst;
}

// ---- values

bool is_reference(string_view value) { // "$API_KEY", "${oc.env:API_KEY}": says where the secret is
    if (value.size() < 2 || value[0] != '$') return false;
    if (value[1] == '{') return value.back() == '}' && value.find('}') == value.size() - 1;
    return std::all_of(value.begin() + 1, value.end(), [](char c) { return is_upper(c) || is_digit(c) || c == '_'; });
}

bool is_never_secret(string_view value) {
    constexpr string_view kWords[] = {"", "true", "false", "none", "null", "yes", "no", "on", "off", "<redacted>"};
    return one_of(lowered(value), kWords) || is_reference(value);
}

bool is_small_number(string_view value) {
    constexpr std::size_t kDigits = 5; // a vocabulary has fewer entries than a numeric token has values
    const auto digits = std::size_t(std::count_if(value.begin(), value.end(), is_digit));
    const bool numeric = std::all_of(value.begin(), value.end(),
                                     [](char c) { return is_digit(c) || std::strchr(".,+-eE", c) != nullptr; });
    return numeric && digits > 0 && digits <= kDigits;
}

bool is_path(string_view value) {
    if (starts_with(value, "./") || starts_with(value, "../") || starts_with(value, "~/")) return true;
    if (value.size() < 2 || value[0] != '/') return false;
    return value.find('/', 1) != string_view::npos && value.find_first_of("+=") == string_view::npos;
}

// Of a name that is only likely to be a secret's.
bool looks_harmless(string_view name, string_view value) {
    if (is_small_number(value) || is_path(value)) return true;
    const bool marker = value.size() > 2 && ((value.front() == '<' && value.back() == '>') ||
                                             (value.front() == '[' && value.back() == ']')); // "<|endoftext|>", "[PAD]"
    if (marker) return true;
    constexpr string_view kMethods[] = {"basic",  "digest",   "ntlm",   "token",    "oauth",    "oauth2",
                                        "bearer", "kerberos", "gssapi", "md5",      "password", "browser",
                                        "iam",    "ldap",     "mtls",   "anonymous"};
    const bool about_auth = ends_with(lowered(name), "auth");
    if (about_auth && one_of(lowered(value), kMethods)) return true;
    constexpr std::size_t kColumnName = 8; // "key=loss": the name of a column, not of a person's dog
    return name == "key" && value.size() <= kColumnName && std::all_of(value.begin(), value.end(), is_lower) &&
           value.find("secret") == string_view::npos && value.find("pass") == string_view::npos;
}

bool is_secret_pair(Verdict verdict, string_view name, string_view value) {
    if (verdict == Verdict::harmless || is_never_secret(value)) return false;
    return verdict == Verdict::secret || !looks_harmless(name, value);
}

// ---- shapes

enum class Body { alnum, word, upper, dotted }; // word: letters, digits, _ and -; dotted: also "." between

struct Shape {
    string_view prefix;
    Body body;
    std::size_t least;
    bool needs_digit;
};

constexpr Shape kShapes[] = {
    {"sk-ant-", Body::word, 8, false},
    {"sk-proj-", Body::word, 8, false},
    {"sk-or-", Body::word, 12, false},
    {"sk-", Body::word, 12, true},
    {"sk_live_", Body::alnum, 8, false},
    {"sk_test_", Body::alnum, 8, false},
    {"rk_live_", Body::alnum, 8, false},
    {"whsec_", Body::alnum, 12, false},
    {"ghp_", Body::alnum, 16, false},
    {"gho_", Body::alnum, 16, false},
    {"ghu_", Body::alnum, 16, false},
    {"ghs_", Body::alnum, 16, false},
    {"ghr_", Body::alnum, 16, false},
    {"github_pat_", Body::word, 12, false},
    {"glpat-", Body::word, 12, false},
    {"hf_", Body::alnum, 20, false},
    {"AKIA", Body::upper, 16, false},
    {"ASIA", Body::upper, 16, false},
    {"ABIA", Body::upper, 16, false},
    {"ACCA", Body::upper, 16, false},
    {"xoxa-", Body::word, 8, false},
    {"xoxb-", Body::word, 8, false},
    {"xoxp-", Body::word, 8, false},
    {"xoxr-", Body::word, 8, false},
    {"xoxs-", Body::word, 8, false},
    {"xoxe-", Body::word, 8, false},
    {"xapp-", Body::word, 16, true},
    {"AIza", Body::word, 30, false},
    {"ya29.", Body::word, 8, false},
    {"npm_", Body::alnum, 30, false},
    {"pypi-", Body::word, 16, false},
    {"dckr_pat_", Body::word, 12, false},
    {"nvapi-", Body::word, 16, false},
    {"gsk_", Body::alnum, 20, false},
    {"r8_", Body::alnum, 30, false},
    {"xai-", Body::alnum, 30, false},
    {"pplx-", Body::alnum, 30, false},
    {"hvs.", Body::word, 16, false},
    {"dop_v1_", Body::alnum, 32, false},
    {"shpat_", Body::alnum, 24, false},
    {"ATATT3", Body::word, 24, false},
    {"SG.", Body::dotted, 20, true},
    {"AGE-SECRET-KEY-1", Body::upper, 16, false},
    {"wandb_v1_", Body::word, 16, false},
    {"lin_api_", Body::alnum, 20, false},
};

bool belongs(char c, Body body) {
    switch (body) {
    case Body::alnum: return is_alnum(c);
    case Body::upper: return is_upper(c) || is_digit(c);
    case Body::word: return is_alnum(c) || c == '_' || c == '-';
    case Body::dotted: return is_alnum(c) || c == '_' || c == '-' || c == '.';
    }
    return false;
}

std::size_t run_length(string_view text, Body body) {
    std::size_t length = 0;
    while (length < text.size() && belongs(text[length], body)) ++length;
    return length;
}

// eyJhbGciOi….eyJzdWIiOi….signature
std::size_t jwt_length(string_view text) {
    constexpr std::size_t kLeast = 8;
    constexpr std::size_t kMostHeader = 4096;
    if (!starts_with(text, "eyJ")) return 0;
    const std::size_t header = run_length(text.substr(0, kMostHeader), Body::word);
    if (header < kLeast || header >= text.size() || text[header] != '.') return 0;
    if (run_length(text.substr(header + 1, kLeast), Body::word) < kLeast) return 0;
    return run_length(text, Body::dotted);
}

// 123456789:AAE… of a Telegram bot
std::size_t telegram_length(string_view text) {
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits < 8 || digits > 12 || digits >= text.size() || text[digits] != ':') return 0;
    const std::size_t body = run_length(text.substr(digits + 1), Body::word);
    return body >= 32 && body <= 40 ? digits + 1 + body : 0;
}

// https://hooks.slack.com/services/T0/B0/xyz: whoever knows it may post
std::size_t webhook_length(string_view text, std::size_t& kept) {
    for (const string_view prefix :
         {"hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"}) {
        if (!starts_with(text, prefix)) continue;
        std::size_t end = prefix.size();
        while (end < text.size() && (belongs(text[end], Body::word) || text[end] == '/')) ++end;
        kept = prefix.size();
        return end;
    }
    return 0;
}

// Length of the secret that begins here; 0: none.
std::size_t shape_length(string_view text) {
    constexpr std::size_t kEnough = 200; // to tell: "sk-sk-sk-…" must not cost the square of its length
    for (const auto& shape : kShapes) {
        if (!starts_with(text, shape.prefix)) continue;
        const string_view rest = text.substr(shape.prefix.size());
        const string_view run = rest.substr(0, run_length(rest.substr(0, kEnough), shape.body));
        if (run.size() < shape.least) continue;
        if (shape.needs_digit && std::none_of(run.begin(), run.end(), is_digit)) continue;
        return shape.prefix.size() + run_length(rest, shape.body);
    }
    if (const std::size_t length = jwt_length(text)) return length;
    return telegram_length(text);
}

std::string redact_shapes(string_view text) {
    std::string safe;
    safe.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const bool inside = i > 0 && (is_alnum(text[i - 1]) || text[i - 1] == '_');
        const bool bot = i >= 3 && text.substr(i - 3, 3) == "bot"; // …/bot123456789:AAE…/sendMessage
        std::size_t kept = 0;
        std::size_t length = 0;
        if (!inside || (bot && is_digit(text[i]))) length = shape_length(text.substr(i));
        if (length == 0 && !inside) length = webhook_length(text.substr(i), kept);
        if (length == kept) {
            safe += text[i++];
            continue;
        }
        safe.append(text.substr(i, kept)).append(kRedacted);
        i += length;
    }
    return safe;
}

std::string redact_pem(string_view text) {
    constexpr string_view kBegin = "-----BEGIN ";
    constexpr string_view kEnd = "-----END ";
    constexpr string_view kDashes = "-----";
    std::string safe;
    for (;;) {
        std::size_t begin = text.find(kBegin);
        while (begin != string_view::npos) {
            const std::size_t label_end = text.find(kDashes, begin + kBegin.size());
            const string_view label =
                text.substr(begin, label_end == string_view::npos ? label_end : label_end - begin);
            if (label.find("PRIVATE KEY") != string_view::npos) break;
            begin = text.find(kBegin, begin + 1);
        }
        if (begin == string_view::npos) return safe.append(text);
        safe.append(text.substr(0, begin)).append(kRedacted);
        const std::size_t end = text.find(kEnd, begin);
        if (end == string_view::npos) return safe;
        const std::size_t closing = text.find(kDashes, end + kEnd.size());
        if (closing == string_view::npos) return safe;
        text.remove_prefix(closing + kDashes.size());
    }
}

// ---- user:password@host

bool is_random(string_view word) {
    constexpr std::size_t kLeast = 20;
    return word.size() >= kLeast && std::any_of(word.begin(), word.end(), is_digit) &&
           std::any_of(word.begin(), word.end(), [](char c) { return !is_digit(c); });
}

// The credentials of one URL's authority.
std::string redact_authority(string_view authority) {
    const std::size_t at = authority.rfind('@');
    if (at == string_view::npos) return std::string{authority};
    const string_view login = authority.substr(0, at);
    const std::size_t colon = login.find(':');
    const string_view user = login.substr(0, colon);
    const bool secret_user = is_random(user) || shape_length(user) == user.size();
    std::string safe{secret_user && !user.empty() ? kRedacted : user};
    if (colon != string_view::npos) safe.append(":").append(colon + 1 < login.size() ? kRedacted : string_view{});
    return safe.append(authority.substr(at));
}

std::string redact_urls(string_view text) {
    constexpr string_view kScheme = "://";
    std::string safe;
    for (;;) {
        const std::size_t scheme = text.find(kScheme);
        if (scheme == string_view::npos) return safe.append(text);
        const std::size_t begin = scheme + kScheme.size();
        std::size_t end = begin;
        // Not '<' and '>': they stand in "<redacted>", and this must leave its own work as it is.
        while (end < text.size() && !is_space(text[end]) && std::strchr("/?#\"'`\\,;|()", text[end]) == nullptr) ++end;
        safe.append(text.substr(0, begin)).append(redact_authority(text.substr(begin, end - begin)));
        text.remove_prefix(end);
    }
}

// user:password@host without a scheme, as scp and database tools take it.
std::string redact_logins(string_view text) {
    constexpr string_view kNoUser[] = {"mailto",     "sip",  "acct",   "xmpp",  "email", "to",
                                       "from",       "cc",   "author", "git",   "ssh",   "npm",
                                       "maintainer", "file", "http",   "https", "image"};
    constexpr std::size_t kMostUrl = 500;
    std::string safe;
    std::size_t copied = 0;
    for (std::size_t at = text.find('@'); at != string_view::npos; at = text.find('@', at + 1)) {
        std::size_t begin = at;
        while (begin > copied && !is_space(text[begin - 1]) &&
               std::strchr("/\"'`=,;|()@<>{}&?", text[begin - 1]) == nullptr) {
            --begin;
        }
        std::size_t word = begin;
        while (word > copied && begin - word < kMostUrl && !is_space(text[word - 1])) --word;
        if (text.substr(word, begin - word).find("://") != string_view::npos) continue; // a URL's path
        const std::size_t colon = text.substr(0, at).find(':', begin);
        const string_view host = text.substr(at + 1);
        const bool to_host =
            !host.empty() && is_alnum(host[0]) && !starts_with(host, "sha256:") && !starts_with(host, "sha512:");
        if (colon == string_view::npos || colon + 1 >= at || !to_host) continue;
        const string_view user = text.substr(begin, colon - begin);
        const bool named = !user.empty() && (is_lower(user[0]) || is_upper(user[0])) &&
                           std::all_of(user.begin(), user.end(), is_name_char);
        if (!named || one_of(lowered(user), kNoUser)) continue;
        safe.append(text.substr(copied, colon + 1 - copied)).append(kRedacted);
        copied = at;
    }
    return safe.append(text.substr(copied));
}

// ---- names and values in free text

// "Bearer xyz" keeps its scheme.
std::string redact_header_value(string_view value) {
    const std::size_t space = value.find(' ');
    constexpr string_view kSchemes[] = {"bearer", "basic", "token", "digest", "apikey", "negotiate"};
    if (space != string_view::npos && one_of(lowered(value.substr(0, space)), kSchemes)) {
        return std::string{value.substr(0, space + 1)}.append(kRedacted);
    }
    return std::string{kRedacted};
}

bool is_header_name(string_view name) {
    return one_of(lowered(name), {"authorization", "proxy-authorization", "cookie", "set-cookie"});
}

// Copies a text and leaves out the values of secret names: NAME=VALUE, name: value, "name": "value", --name value.
class TextScanner {
public:
    TextScanner(const Redactor& redactor, string_view text) : redactor_(redactor), text_(text) {}

    std::string run() {
        while (at_ < text_.size()) {
            if (!is_name_char(text_[at_])) {
                safe_ += text_[at_++];
                continue;
            }
            const std::size_t begin = at_;
            while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
            const string_view name = text_.substr(begin, at_ - begin);
            safe_.append(name);
            if (is_bearer(name)) {
                take_bearer();
            } else if (!name.empty() && name.find_first_not_of("-._") != string_view::npos) {
                take_value(begin, name);
            }
        }
        return std::move(safe_);
    }

private:
    struct Span {
        std::size_t begin;
        std::size_t end;
    };

    std::size_t skip(std::size_t from, string_view characters) const {
        while (from < text_.size() && characters.find(text_[from]) != string_view::npos) ++from;
        return from;
    }

    static bool is_bearer(string_view word) { return word == "Bearer" || word == "bearer" || word == "BEARER"; }

    void take_bearer() {
        constexpr std::size_t kLeast = 12;
        if (at_ >= text_.size() || text_[at_] != ' ') return;
        const std::size_t begin = at_ + 1;
        const Span value{begin, plain_end(begin)};
        const string_view word = text_.substr(begin, value.end - begin);
        if (word.size() >= kLeast && std::any_of(word.begin(), word.end(), is_digit))
            replace(value, std::string{kRedacted});
    }

    // `name` ends at at_: if a value of it follows and is secret, both are consumed.
    void take_value(std::size_t begin, string_view name) {
        if (!redactor_.is_secret_name(name) && !is_signature(begin, name) && !is_header_name(name)) return;
        std::size_t i = at_;
        const std::size_t quote = skip(i, "\\");
        const bool quoted = quote < text_.size() && (text_[quote] == '"' || text_[quote] == '\'') && begin > 0 &&
                            text_[begin - 1] == text_[quote];
        if (quoted) i = quote + 1;
        const std::size_t separator = skip(i, " ");
        const char sign = separator < text_.size() ? text_[separator] : '\0';
        const bool option = name.size() > 2 && name[0] == '-' && (name[1] == '-' || name.size() > 3);
        if (sign == '=' && text_.substr(separator, 2) != "==") {
            const bool spaced = separator > i;
            redact_after(begin, name, value_span(spaced ? skip(separator + 1, " ") : separator + 1), spaced && !quoted,
                         "");
        } else if (sign == ':' && text_.substr(separator, 3) != "://") {
            if (is_header_name(name)) {
                redact_header(skip(separator + 1, " "));
            } else {
                redact_after(begin, name, value_span(skip(separator + 1, " ")), !quoted, ",}");
            }
        } else if (option && !quoted && separator > i && text_.substr(separator, 2) != "--") {
            redact_after(begin, name, value_span(separator), false, "");
        }
    }

    // Between its quotes, or up to where a shell, a URL or a list would end it.
    Span value_span(std::size_t begin) const {
        const std::size_t quote = skip(begin, "\\");
        if (quote >= text_.size() || (text_[quote] != '"' && text_[quote] != '\'')) return {begin, plain_end(begin)};
        const bool escaped = quote > begin;
        std::size_t end = quote + 1;
        while (end < text_.size() && text_[end] != text_[quote]) {
            if (escaped && text_[end] == '\\') break;
            end += !escaped && text_[end] == '\\' ? 2 : 1;
        }
        return {quote + 1, std::min(end, text_.size())};
    }

    std::size_t plain_end(std::size_t begin) const {
        std::size_t end = begin;
        while (end < text_.size() && !is_space(text_[end]) && std::strchr("\"'`;&|)}", text_[end]) == nullptr) ++end;
        return end;
    }

    bool is_signature(std::size_t begin, string_view name) const { // of a signed URL
        const bool in_query = begin > 0 && (text_[begin - 1] == '?' || text_[begin - 1] == '&');
        return in_query && (ends_with(lowered(name), "signature") || name == "sig");
    }

    void redact_after(std::size_t begin, string_view name, Span value, bool only_certain, string_view also_ends) {
        value.end = std::min(value.end,
                             std::max(value.begin, text_.substr(0, value.end).find_first_of(also_ends, value.begin)));
        const string_view word = text_.substr(value.begin, value.end - value.begin);
        const bool signature = is_signature(begin, name) && !word.empty();
        const bool reference = only_certain && name.find_first_of("_-") == string_view::npos &&
                               judge(name) != Verdict::secret; // prose: "invalid token: foo"
        if (!reference && (signature || redactor_.is_secret(name, word)) && word != kRedacted) {
            replace(value, std::string{kRedacted});
        }
    }

    void redact_header(std::size_t begin) {
        Span value = value_span(begin);
        if (value.begin == begin) { // unquoted: to the end of the line, or of the quotes around the whole header
            value.end = std::min(text_.find_first_of("\"'\r\n", begin), text_.size());
        }
        const string_view word = text_.substr(value.begin, value.end - value.begin);
        if (!is_never_secret(word)) replace(value, redact_header_value(word));
    }

    void replace(Span value, const std::string& words) {
        safe_.append(text_.substr(at_, value.begin - at_)).append(words);
        at_ = value.end;
    }

    const Redactor& redactor_;
    string_view text_;
    std::size_t at_ = 0;
    std::string safe_;
};

// ---- arguments

string_view bare_name(string_view name) {
    const std::size_t begin = name.find_first_not_of("-+~");
    return begin == string_view::npos ? string_view{} : name.substr(begin);
}

// How NAME=VALUE words are named: options, Hydra overrides (+a.b, ++a.b, group@package) and variables.
bool is_assignable(string_view name) {
    return !bare_name(name).empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return is_name_char(c) || std::strchr("+~@/:", c) != nullptr;
    });
}

// "--token" and "-token", but neither "-p" nor a switch such as "--use-auth-token", which is followed by anything.
bool takes_next_word(string_view word) {
    if (word.size() < 3 || word[0] != '-' || !is_assignable(word)) return false;
    constexpr string_view kSwitches[] = {"use",   "no",  "with", "enable", "disable",
                                         "allow", "has", "is",   "skip",   "require"};
    const Name name = parse_name(bare_name(word));
    return !name.words.empty() && !one_of(name.words.front(), kSwitches);
}

bool fetches(const std::vector<std::string>& argv) {
    return std::any_of(argv.begin(), argv.end(), [](const std::string& word) {
        return one_of(string_view{word}.substr(word.rfind('/') + 1), {"curl", "wget", "http", "https"});
    });
}

// curl's -u user:password
std::string redact_login(const std::string& word) {
    const std::size_t colon = word.find(':');
    return colon == std::string::npos ? word : word.substr(0, colon + 1).append(kRedacted);
}

bool matches(const std::vector<std::string>& globs, string_view name) {
    const std::string whole{bare_name(name)};
    const std::string last = whole.substr(whole.rfind('.') + 1);
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
        return ::fnmatch(glob.c_str(), whole.c_str(), FNM_CASEFOLD) == 0 ||
               ::fnmatch(glob.c_str(), last.c_str(), FNM_CASEFOLD) == 0;
    });
}

} // namespace

Redactor::Redactor(std::vector<std::string> redact, std::vector<std::string> keep)
    : redact_(std::move(redact)), keep_(std::move(keep)) {}

bool Redactor::is_secret_name(string_view name) const {
    if (matches(keep_, name)) return false;
    return matches(redact_, name) || judge(bare_name(name)) != Verdict::harmless;
}

bool Redactor::is_secret_value(string_view value) const {
    while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
    while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
    if (value.empty()) return false;
    return shape_length(value) == value.size() || redact_pem(value) != value;
}

bool Redactor::is_secret(string_view name, string_view value) const {
    if (value.empty() || matches(keep_, name)) return false;
    const string_view bare = bare_name(name);
    return matches(redact_, name) || is_secret_pair(judge(bare), bare, value) || is_secret_value(value);
}

std::string Redactor::value(string_view name, string_view value) const {
    if (is_secret(name, value)) return std::string{kRedacted};
    return matches(keep_, name) ? std::string{value} : text(value);
}

std::vector<std::string> Redactor::arguments(const std::vector<std::string>& argv) const {
    std::vector<std::string> safe;
    safe.reserve(argv.size());
    const bool logins = fetches(argv);
    for (std::size_t i = 0; i < argv.size(); ++i) {
        const std::string& word = argv[i];
        const std::string& before = i > 0 ? argv[i - 1] : word;
        const bool is_value = i > 1 && word.rfind("--", 0) != 0;
        if (is_value && logins &&
            (before == "-u" || before == "--user" || before == "--proxy-user" || before == "-U")) {
            safe.push_back(redact_login(word));
            continue;
        }
        if (is_value && before.find('=') == std::string::npos && takes_next_word(before) &&
            (matches(keep_, before) || is_secret_name(before))) {
            safe.push_back(value(before, word));
            continue;
        }
        const std::size_t equals = word.find('=');
        if (equals != std::string::npos && equals > 0 && is_assignable(string_view{word}.substr(0, equals))) {
            const string_view name = string_view{word}.substr(0, equals);
            safe.push_back(word.substr(0, equals + 1) + value(name, string_view{word}.substr(equals + 1)));
            continue;
        }
        safe.push_back(text(word));
    }
    return safe;
}

std::string Redactor::text(string_view text) const {
    std::string safe{text};
    if (safe.size() < 2) return safe;
    if (safe.find("-----BEGIN ") != std::string::npos) safe = redact_pem(safe);
    if (safe.find('@') != std::string::npos) {
        safe = redact_urls(safe);
        safe = redact_logins(safe);
    }
    safe = redact_shapes(safe);
    if (safe.find_first_of("=: ") != std::string::npos) safe = TextScanner{*this, safe}.run();
    return safe;
}

} // namespace poster
