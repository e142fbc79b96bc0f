// Messages by a Telegram bot.

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <path_setting.hpp>
#include <records.hpp>
#include <secret_setting.hpp>
#include <telegram.hpp>

#include "notice.hpp"
#include "notifier.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr const char* kPerhaps = "\n<i>(perhaps a repeat)</i>";
constexpr std::size_t kRoom = 40; // for it

std::vector<std::string> parts_of(const json& facts) {
    return split_telegram_html(as_telegram_html(notice_of(facts)), kTelegramText - kRoom);
}

class Telegram : public Notifier {
public:
    explicit Telegram(const Settings& settings) : Notifier("telegram", settings), settings_(settings) {}

    Delivery deliver(const Run& run, const OutboxEntry& entry, Deadline deadline) override {
        const json facts = json::parse(entry.payload, nullptr, false);
        if (!facts.is_object()) return Delivery::permanent("the entry cannot be read", "");
        if (!chat_)
            if (auto trouble = open()) return *trouble;
        if (!chat_) return Delivery::passing("there is no chat");
        TelegramChat& chat = *chat_;
        deadline_ = deadline;
        const std::string repeat = entry.perhaps_sent ? kPerhaps : "";
        if (entry.kind == "image") {
            const fs::path path = image_of(run, facts);
            const auto caption = split_telegram_html(as_telegram_html(notice_of(facts)), kTelegramCaption - kRoom);
            return chat.send_image(path, path.filename().native(), (caption.empty() ? "" : caption.front()) + repeat);
        }
        const auto parts = parts_of(facts);
        const auto part = std::size_t(number_of(facts, "part").value_or(0));
        if (part >= parts.size()) return Delivery::arrived(); // nothing is to be shown
        return chat.send_text(parts[part] + repeat);
    }

protected:
    std::size_t parts(const json& facts) const override {
        return text_of(facts, "kind") == "image" ? 1 : std::max<std::size_t>(1, parts_of(facts).size());
    }

private:
    // What hinders it.
    std::optional<Delivery> open() {
        TelegramSettings wanted{settings_.text("telegram.api"), "", settings_.text("telegram.chat"),
                                settings_.text("telegram.thread"), settings_.flag("telegram.silent")};
        try {
            wanted.token = secret_of(settings_, "telegram.token");
        } catch (const Error& error) {
            return Delivery::not_yet(error.what(), error.help());
        }
        // Another machine that sees the store may have it.
        if (wanted.token.empty())
            return Delivery::not_yet("there is no telegram.token here",
                                     "POSTER_TELEGRAM_TOKEN, telegram.token_file or telegram.token_command gives it");
        if (!is_token(wanted.token))
            return Delivery::permanent("telegram.token has not the form of a token",
                                       "@BotFather tells it: 123456789:AA… (digits, a colon, letters)");
        TransferOptions options;
        options.ca_file = path_setting(settings_, "telegram.ca_file").native();
        options.cancelled = [this] { return std::chrono::steady_clock::now() > deadline_; };
        chat_.emplace(std::move(wanted), std::move(options));
        return std::nullopt;
    }

    // It becomes a part of a URL.
    static bool is_token(const std::string& token) {
        return !token.empty() && std::all_of(token.begin(), token.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ':' || c == '_' ||
                   c == '-';
        });
    }

    const Settings settings_;
    std::optional<TelegramChat> chat_;
    Deadline deadline_{};
};

std::vector<Option> options() {
    std::vector<Option> all = secret_options("telegram.token", "the bot's token");
    const std::vector<Option> own{
        {"telegram.chat", OptionType::text, "", "the chat's id, or @channel; it turns the callback on"},
        {"telegram.thread", OptionType::text, "", "the id of a topic of that chat"},
        {"telegram.silent", OptionType::flag, "false", "messages come without a sound"},
        {"telegram.api", OptionType::text, "https://api.telegram.org", "another server of the Bot API"},
        {"telegram.ca_file", OptionType::text, "", "certificates to trust (PEM), for a server of one's own"},
    };
    all.insert(all.end(), own.begin(), own.end());
    for (auto& option : notifier_options("telegram")) all.push_back(std::move(option));
    return all;
}

Activation activate(const Settings& settings) {
    if (settings.text("telegram.chat").empty()) return {false, "telegram.chat is not set"};
    check_notifier_settings("telegram", settings);
    const std::string api = settings.text("telegram.api");
    if (!api.starts_with("https://") && !api.starts_with("http://"))
        throw UsageError(
            fmt::format("setting 'telegram.api' ({}): not an address", settings.values().at("telegram.api").source),
            "it begins with https:// or http://");
    return {true, fmt::format("chat {}", settings.text("telegram.chat"))};
}

} // namespace

extern const CallbackEntry telegram_callback;
const CallbackEntry telegram_callback =
    callback_entry<Telegram>("telegram", "tells of runs by a Telegram bot", options(), activate);

} // namespace poster
