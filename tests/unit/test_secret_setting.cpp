#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <error.hpp>
#include <files.hpp>
#include <secret_setting.hpp>

using namespace poster;

namespace {

constexpr const char* kKey = "telegram.token";

class SecretFixture {
public:
    SecretFixture() {
        std::string pattern = "/tmp/poster-unit-XXXXXX";
        root = ::mkdtemp(pattern.data());
        for (const auto& option : secret_options(kKey, "the token")) settings.set(option.key, "", "default");
    }
    ~SecretFixture() {
        std::error_code failure;
        fs::remove_all(root, failure);
    }
    SecretFixture(const SecretFixture&) = delete;
    SecretFixture& operator=(const SecretFixture&) = delete;

    void write(const std::string& content, mode_t mode) const {
        replace_file(root / "token", content);
        ::chmod((root / "token").c_str(), mode);
    }
    std::string refusal() const {
        try {
            secret_of(settings, kKey);
        } catch (const Error& error) {
            return error.what() + std::string(" | ") + error.help();
        }
        return "";
    }

    fs::path root;
    Settings settings;
};

} // namespace

TEST_CASE("a secret comes from the variable, else the file, else the command, else plain") {
    auto [plain, source, file, command, expected] = GENERATE(table<std::string, std::string, bool, bool, std::string>({
        {"", "default", false, false, ""},
        {"plain", "/p/poster.toml", false, false, "plain"},
        {"plain", "/p/poster.toml", true, false, "of the file"},
        {"plain", "/p/poster.toml", false, true, "of the command"},
        {"", "default", true, true, "of the file"},
        {"variable", "POSTER_TELEGRAM_TOKEN", true, true, "variable"},
    }));
    SecretFixture fixture;
    fixture.write("of the file\n", 0600);
    fixture.settings.set(kKey, plain, source);
    // A name in a file is from that file's folder on.
    if (file) fixture.settings.set("telegram.token_file", "token", fixture.root / "poster.toml");
    if (command) fixture.settings.set("telegram.token_command", "echo 'of the command'", "/p/poster.toml");
    CHECK(secret_of(fixture.settings, kKey) == expected);
    CHECK(has_secret(fixture.settings, kKey) == !expected.empty());
}

TEST_CASE("a secret's file that others can read is refused with what to do") {
    auto [mode, refused] =
        GENERATE(table<mode_t, bool>({{0600, false}, {0400, false}, {0640, true}, {0604, true}, {0666, true}}));
    SecretFixture fixture;
    fixture.write("s3cret\n", mode);
    fixture.settings.set("telegram.token_file", fixture.root / "token", "/p/poster.toml");
    const std::string refusal = fixture.refusal();
    CHECK(refusal.empty() == !refused);
    if (refused) CHECK(refusal.find("chmod 600 " + (fixture.root / "token").string()) != std::string::npos);
    CHECK(refusal.find("s3cret") == std::string::npos);
}

TEST_CASE("what hinders a secret is told without it") {
    SecretFixture fixture;
    SECTION("no such file") {
        fixture.settings.set("telegram.token_file", fixture.root / "nowhere", "/p/poster.toml");
        CHECK(fixture.refusal().find(
                  "No such file or directory | telegram.token_file names it (set in /p/poster.toml)") !=
              std::string::npos);
    }
    SECTION("an empty file") {
        fixture.write("\n", 0600);
        fixture.settings.set("telegram.token_file", fixture.root / "token", "/p/poster.toml");
        CHECK(fixture.refusal().find("is empty") != std::string::npos);
    }
    SECTION("a command that fails") {
        fixture.settings.set("telegram.token_command", "echo s3cret; exit 3", "/p/poster.toml");
        CHECK(fixture.refusal() ==
              "the command of telegram.token_command failed with exit code 3 | it is set in /p/poster.toml; try it in "
              "a shell");
    }
    SECTION("a command that prints nothing") {
        fixture.settings.set("telegram.token_command", "true", "/p/poster.toml");
        CHECK(fixture.refusal().find("printed nothing") != std::string::npos);
    }
}

TEST_CASE("a secret that stands plain where others may read it is warned of") {
    SecretFixture fixture;
    const auto own = fixture.root / "config.toml";
    replace_file(own, "");
    auto [source, warned] = GENERATE_COPY(table<std::string, bool>({{"/p/poster.toml", true},
                                                                    {"POSTER_TELEGRAM_TOKEN", false},
                                                                    {"OWN", false}, // mode 0600
                                                                    {"OWN, readable", true}}));
    if (source == "OWN, readable") ::chmod(own.c_str(), 0644);
    fixture.settings.set(kKey, "s3cret", source.starts_with("OWN") ? own.string() : source);
    const auto warnings = plain_secrets(fixture.settings);
    REQUIRE(warnings.size() == (warned ? 1 : 0));
    if (warned) {
        CHECK(warnings[0].find("better by POSTER_TELEGRAM_TOKEN, telegram.token_file or") != std::string::npos);
        CHECK(warnings[0].find("s3cret") == std::string::npos);
    }
}
