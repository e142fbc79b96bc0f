#include <catch2/catch.hpp>

#include "redact.hpp"
#include "text.hpp"

using namespace poster;

namespace {

using Words = std::vector<std::string>;

const Redactor& redactor() {
    static const Redactor instance;
    return instance;
}

// Built from two halves, so that no scanner takes the test for a leak.
std::string key(const std::string& prefix, std::size_t length) {
    std::string body;
    for (std::size_t i = 0; i < length; ++i) body += "aB3dE6gH1"[i % 9];
    return prefix + body;
}

std::string upper_key(const std::string& prefix) {
    return prefix + "IOSFODNN7EXAMPLE";
}

} // namespace

TEST_CASE("a value whose name says secret is redacted") {
    const std::string name = GENERATE(values<std::string>({
        "HF_TOKEN",
        "WANDB_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "db.password",
        "api_key",
        "apiKey",
        "APIKEY",
        "--api-key",
        "--apikey",
        "+wandb.api_key",
        "++x.secret",
        "PGPASSWORD",
        "MYSQL_PWD",
        "secret_key",
        "access_key",
        "auth_token",
        "authToken",
        "use_auth_token",
        "SECRET",
        "CLIENT_SECRET",
        "PASSPHRASE",
        "ssh_passphrase",
        "CREDENTIALS",
        "AZURE_CREDENTIAL",
        "BASIC_AUTH",
        "AUTH",
        "auth",
        "OPENAI_KEY",
        "SSH_PRIVATE_KEY",
        "ENCRYPTION_KEY",
        "SESSION_COOKIE",
        "BEARER",
        "TOKEN",
        "token",
        "KEY",
        "my_token",
        "SMTP_PASS",
        "PASS",
        "npm_config__authToken",
        "DOCKER_AUTH_CONFIG",
        "GITHUB_PAT",
        "API_TOKENS",
        "ACCESS_TOKEN2",
        "MYSQLPASSWORD",
        "SECRET_KEY_BASE",
        "TOKEN_GITHUB",
        "TEST_TOKEN",
        "Password",
        "user.passwd",
        "privateKey",
        "APIkey",
        "X-Api-Key",
        "storage_account_key",
        "jwt",
    }));
    CAPTURE(name);
    CHECK(redactor().value(name, "hunter2-Zx81-correct") == kRedacted);
    CHECK(redactor().is_secret_name(name));
}

TEST_CASE("a harmless look-alike stays readable") {
    auto [name, value] = GENERATE(table<std::string, std::string>({
        {"max_tokens", "512"},
        {"max-new-tokens", "100000"},
        {"tokenizer", "bert"},
        {"use_cls_token", "true"},
        {"sort_key", "loss"},
        {"sort.key", "loss"},
        {"num_tokens", "4096"},
        {"token_dim", "64"},
        {"pad_token", "[PAD]"},
        {"eos_token_id", "2"},
        {"key", "loss"},
        {"monitor_key", "val_loss"},
        {"author", "x"},
        {"keyboard", "us"},
        {"tokens-per-batch", "65536"},
        {"primary_key", "identifier"},
        {"foreign_key", "user_id"},
        {"KEYMAP", "querty-layout"},
        {"SSH_AUTH_SOCK", "/tmp/ssh-x/agent.12"},
        {"XAUTHORITY", "/home/x/.Xauthority"},
        {"AUTH_METHOD", "ldap"},
        {"PWD", "/home/x"},
        {"OLDPWD", "/home/x/y"},
        {"TOKENIZERS_PARALLELISM", "false"},
        {"token_mixer", "attention"},
        {"key_padding_mask", "learned-mask"},
        {"public_key", "abcdefghijkl"},
        {"token", "50256"},
        {"bos_token", "<s>"},
        {"mask_token", "<mask>"},
        {"special_tokens", "a,b,c"},
        {"pass_rate", "threshold"},
        {"n_pass", "2"},
        {"password-stdin", "registry"},
        {"secret_name", "trainer"},
        {"DB_PASSWORD_FILE", "/run/secrets/db"},
        {"DESKTOP_SESSION", "gnome-classic"},
        {"XDG_SESSION_ID", "c2"},
        {"GIT_ASKPASS", "/usr/bin/askpass"},
        {"auth_type", "digest-md5"},
        {"auth", "basic"},
        {"batch_key", "image_column"},
        {"api_key", "${oc.env:WANDB_API_KEY}"},
        {"use_auth_token", "true"},
        {"KeyError", "something"},
        {"monkey", "business-as-usual"},
        {"authority", "someone-else"},
        {"tokenize", "spaces-and-more"},
        {"label_key", "label-column"},
        {"image_token_index", "32000"},
        {"secretary", "bob-smith"},
        {"lr", "0.1"},
        {"HOME", "/home/x"},
        {"passes", "three-passes"},
        {"compass", "north-by-northwest"},
    }));
    CAPTURE(name);
    CHECK(redactor().value(name, value) == value);
}

TEST_CASE("arguments lose their secrets and nothing else") {
    auto [given, expected] = GENERATE(table<Words, Words>({
        {{"t", "--api-key", "X1", "--lr", "0.1"}, {"t", "--api-key", "<redacted>", "--lr", "0.1"}},
        {{"t", "--password=X"}, {"t", "--password=<redacted>"}},
        {{"t", "--token", "X1yz"}, {"t", "--token", "<redacted>"}},
        {{"t", "--auth-token", "-X1"}, {"t", "--auth-token", "<redacted>"}},
        {{"t", "--password", "--lr", "3"}, {"t", "--password", "--lr", "3"}},
        {{"t", "-token", "abc9"}, {"t", "-token", "<redacted>"}},
        {{"mysql", "-pX", "-p", "X"}, {"mysql", "-pX", "-p", "X"}},
        {{"t", "+wandb.api_key=X"}, {"t", "+wandb.api_key=<redacted>"}},
        {{"t", "++x.secret=a=b c"}, {"t", "++x.secret=<redacted>"}},
        {{"t", "--secret-key=abc", "access_key=abc"}, {"t", "--secret-key=<redacted>", "access_key=<redacted>"}},
        {{"env", "API_KEY=abc", "python"}, {"env", "API_KEY=<redacted>", "python"}},
        {{"t", "--max-tokens", "512"}, {"t", "--max-tokens", "512"}},
        {{"t", "tokenizer=bert", "use_cls_token=true", "sort_key=loss"},
         {"t", "tokenizer=bert", "use_cls_token=true", "sort_key=loss"}},
        {{"t", "--sort-key", "loss", "--tokenizer", "bert"}, {"t", "--sort-key", "loss", "--tokenizer", "bert"}},
        {{"t", "--use-auth-token", "train.py"}, {"t", "--use-auth-token", "train.py"}},
        {{"bash", "-c", "export API_KEY=abc; run --token xyz9 -v"},
         {"bash", "-c", "export API_KEY=<redacted>; run --token <redacted> -v"}},
        {{"curl", "-u", "me:pw", "https://x"}, {"curl", "-u", "me:<redacted>", "https://x"}},
        {{"curl", "-H", "Authorization: Bearer abc"}, {"curl", "-H", "Authorization: Bearer <redacted>"}},
        {{"curl", "-H", "X-Api-Key: abc"}, {"curl", "-H", "X-Api-Key: <redacted>"}},
        {{"t", "db=postgres://u:p@h/d"}, {"t", "db=postgres://u:<redacted>@h/d"}},
        {{"t", R"({"api_key": "abc", "lr": 1})"}, {"t", R"({"api_key": "<redacted>", "lr": 1})"}},
        {{"t", "+wandb={api_key:abc,project:x}"}, {"t", "+wandb={api_key:<redacted>,project:x}"}},
        {{"docker", "run", "-e", "DB_PASSWORD=x y"}, {"docker", "run", "-e", "DB_PASSWORD=<redacted>"}},
        {{"python", "-u", "a.py"}, {"python", "-u", "a.py"}},
        {{}, {}},
    }));
    CHECK(redactor().arguments(given) == expected);
}

TEST_CASE("a value is a secret by its shape, whatever it is called") {
    const std::string secret =
        GENERATE(key("sk-", 40), key("sk-ant-api03-", 40), key("sk-proj-", 40), key("ghp_", 36), key("gho_", 36),
                 key("ghs_", 36), key("github_pat_", 50), key("glpat-", 20), key("hf_", 34), upper_key("AKIA"),
                 upper_key("ASIA"), key("xoxb-", 30), key("xoxp-", 30), key("AIza", 35), key("ya29.", 40),
                 key("npm_", 36), key("pypi-", 60), "SG." + key("", 22) + "." + key("", 43),
                 "12345678" + key("90:", 35), key("eyJhbG", 20) + "." + key("eyJzdWI", 20) + ".sig-x",
                 std::string{"-----BEGIN RSA PRIVATE "} + "KEY-----\nMII\n-----END RSA PRIVATE KEY-----");
    CAPTURE(secret);
    CHECK(redactor().is_secret_value(secret));
    CHECK(redactor().value("x", secret) == kRedacted);
    CHECK(redactor().text("see '" + secret + "' there") == "see '<redacted>' there");
}

TEST_CASE("an ordinary value is no secret by its shape") {
    const std::string value = GENERATE(values<std::string>({
        "sk-learn",
        "scikit-learn-1.5.2-model",
        "task-123456789012345",
        "hf_model_name",
        "hf_transfer",
        "AKIA",
        "npm_install",
        "eyJust.a.word",
        "2026-11-23T07:02:13",
        "12:30",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "",
        "github_pat_",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "git@github.com:org/repo.git",
        "image:tag@sha256:0123abcd",
        "https://example.com/a:b@c",
        "ssh://git@host/repo",
        "mailto:me@example.com",
        "user@host",
    }));
    CAPTURE(value);
    CHECK_FALSE(redactor().is_secret_value(value));
    CHECK(redactor().text(value) == value);
}

TEST_CASE("free text loses credentials only") {
    auto [given, expected] = GENERATE(table<std::string, std::string>({
        {"https://user:pass@host/x", "https://user:<redacted>@host/x"},
        {"https://user:p@ss@host/x", "https://user:<redacted>@host/x"},
        {"redis://:pw@h:6379", "redis://:<redacted>@h:6379"},
        {"https://" + key("", 40) + "@github.com/x", "https://<redacted>@github.com/x"},
        {"get https://x/y?token=abc1&n=2", "get https://x/y?token=<redacted>&n=2"},
        {"https://b.s3/x?X-Amz-Signature=0ab&n=1", "https://b.s3/x?X-Amz-Signature=<redacted>&n=1"},
        {"scp x me:pw@host:/d", "scp x me:<redacted>@host:/d"},
        {"password = 'abc def' and more", "password = '<redacted>' and more"},
        {"api_key: abc", "api_key: <redacted>"},
        {"Authorization: Basic dXNlcjpwdw==", "Authorization: Basic <redacted>"},
        {R"(headers={"Authorization": "Bearer abc"})", R"(headers={"Authorization": "Bearer <redacted>"})"},
        {"Cookie: a=b; c=d\nnext", "Cookie: <redacted>\nnext"},
        {"sent Bearer abcdefgh12345678.", "sent Bearer <redacted>"},
        {R"("{\"password\": \"abc\"}")", R"("{\"password\": \"<redacted>\"}")"},
        {"ValueError: invalid token: 'foo'", "ValueError: invalid token: 'foo'"},
        {"KeyError: 'api_key'", "KeyError: 'api_key'"},
        {"SyntaxError: unexpected token ')'", "SyntaxError: unexpected token ')'"},
        {"api_key == other", "api_key == other"},
        {"echo $API_KEY; x --token $TOKEN", "echo $API_KEY; x --token $TOKEN"},
        {"key=loss --sort-key loss", "key=loss --sort-key loss"},
        {"a=b=c=d: e f: g", "a=b=c=d: e f: g"},
        {"https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/<redacted>"},
        {"AccountName=x;AccountKey=abcd==;Suffix=y", "AccountName=x;AccountKey=<redacted>;Suffix=y"},
    }));
    CAPTURE(given);
    CHECK(redactor().text(given) == expected);
    CHECK(redactor().text(expected) == expected);
}

TEST_CASE("the user's lists extend and override the built-in ones") {
    const Redactor own{{"*_pin", "licence"}, {"sort_token", "wandb.api_key", "MY_*"}};
    CHECK(own.value("door_pin", "1234") == kRedacted);
    CHECK(own.value("LICENCE", "true") == kRedacted);
    CHECK(own.value("MY_SECRET", "abc") == "abc");
    CHECK(own.value("my_secret", "abc") == "abc");
    CHECK(own.value("OTHER_SECRET", "abc") == kRedacted);
    CHECK(own.arguments({"t", "--door-pin", "1", "--x_pin=2", "+wandb.api_key=a", "--my_key", "z9"}) ==
          Words{"t", "--door-pin", "1", "--x_pin=<redacted>", "+wandb.api_key=a", "--my_key", "z9"});
}

TEST_CASE("long text is redacted in reasonable time") {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += "a=b:c ";
    CHECK(redactor().text(text) == text);
    const std::string equals(50'000, '=');
    CHECK(redactor().text(equals) == equals);
}
