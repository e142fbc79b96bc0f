#include "telegram.hpp"

#include <algorithm>
#include <ranges>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <files.hpp>
#include <image_header.hpp>
#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::uint64_t kPhotoBytes = 10 << 20;
constexpr std::uint64_t kDocumentBytes = 50 << 20;
constexpr int kPhotoSides = 10'000; // width and height together
constexpr int kPhotoRatio = 20;
constexpr int kBadRequest = 400, kUnauthorized = 401, kForbidden = 403, kNotFound = 404, kTooMany = 429;

// A tag, or a character with how it is written.
struct Piece {
    std::string_view text;
    std::size_t units = 0; // 0: a tag
    bool is_tag() const { return units == 0; }
    bool is_closing() const { return text.starts_with("</"); }
    bool is_space() const { return text == " " || text == "\n" || text == "\t"; }
};

std::vector<Piece> pieces_of(std::string_view html) {
    std::vector<Piece> pieces;
    while (!html.empty()) {
        std::size_t length = 1, units = 1;
        if (html.front() == '<') {
            length = html.find('>');
            length = length == std::string_view::npos ? html.size() : length + 1;
            units = 0;
        } else if (html.front() == '&') {
            constexpr std::size_t kLongestEntity = 10;
            const std::size_t end = html.substr(0, kLongestEntity).find(';');
            if (end != std::string_view::npos) length = end + 1;
        } else {
            length = std::min(utf8_length(html.front()), html.size());
            units = length == 4 ? 2 : 1; // beyond the basic plane: a surrogate pair
        }
        pieces.push_back({html.substr(0, length), units});
        html.remove_prefix(length);
    }
    return pieces;
}

std::string closing_of(std::string_view tag) {
    const std::string_view name = tag.substr(1, tag.find_first_of(" >") - 1);
    return fmt::format("</{}>", name);
}

// Where a part that begins there ends.
std::size_t end_of_part(const std::vector<Piece>& pieces, std::size_t begin, std::size_t limit) {
    std::size_t units = 0, line = 0, word = 0, at = begin;
    for (; at < pieces.size(); ++at) {
        if (pieces[at].text == "\n") line = at;
        if (pieces[at].is_space()) word = at;
        if (units + pieces[at].units > limit) break;
        units += pieces[at].units;
    }
    if (at == pieces.size()) return at;
    if (line > begin) return line;
    return word > begin ? word : std::max(at, begin + 1);
}

void track(std::vector<std::string_view>& open, const Piece& piece) {
    if (!piece.is_tag()) return;
    if (!piece.is_closing())
        open.push_back(piece.text);
    else if (!open.empty())
        open.pop_back();
}

// Answers of the API that a human has to do something about.
std::string help_for(int status, const std::string& description) {
    const auto says = [&](std::string_view words) { return description.find(words) != std::string::npos; };
    if (status == kUnauthorized) return "telegram.token is not a bot's token, or was revoked: @BotFather tells it";
    if (status == kNotFound) return "see whether telegram.token is whole (123456789:AA…) and telegram.api right";
    if (says("chat not found"))
        return "send the bot a message first (in a group: add it), and see whether telegram.chat is that chat's id";
    if (says("blocked by the user")) return "unblock the bot in that chat";
    if (says("bots can't send messages to bots"))
        return "telegram.chat is a bot's id: it should be a person's or group's";
    if (says("upgraded to a supergroup")) return "set telegram.chat to the new id";
    if (says("thread not found")) return "set telegram.thread to the id of a topic of that chat, or leave it out";
    if (status == kForbidden) return "add the bot to that chat and let it write there";
    return {};
}

} // namespace

std::vector<std::string> split_telegram_html(std::string_view html, std::size_t limit) {
    const std::vector<Piece> pieces = pieces_of(html);
    std::vector<std::string> parts;
    std::vector<std::string_view> open;
    for (std::size_t begin = 0; begin < pieces.size();) {
        const std::size_t end = end_of_part(pieces, begin, limit);
        std::string part = fmt::format("{}", fmt::join(open, ""));
        bool shows = false;
        for (const auto& piece : std::span(pieces).subspan(begin, end - begin)) {
            part += piece.text;
            shows |= !piece.is_tag() && !piece.is_space();
            track(open, piece);
        }
        for (const auto& tag : open | std::views::reverse) part += closing_of(tag);
        if (shows) parts.push_back(std::move(part));
        begin = end < pieces.size() && pieces[end].is_space() ? end + 1 : end;
    }
    return parts;
}

std::size_t shown_units(std::string_view html) {
    std::size_t units = 0;
    for (const auto& piece : pieces_of(html)) units += piece.units;
    return units;
}

std::string without_tags(std::string_view html) {
    std::string text;
    for (const auto& piece : pieces_of(html)) {
        if (piece.is_tag()) continue;
        if (piece.text == "&amp;")
            text += '&';
        else if (piece.text == "&lt;")
            text += '<';
        else if (piece.text == "&gt;")
            text += '>';
        else
            text += piece.text;
    }
    return text;
}

Delivery telegram_delivery(int status, std::string_view body, std::optional<Milliseconds> retry_after) {
    const json answer = json::parse(body, nullptr, false);
    if (status == 200 && member(answer, "ok") == true)
        return Delivery::arrived(member(member(answer, "result"), "message_id").dump());
    const std::string description = in_a_line(text_of(answer, "description"));
    const std::string why = description.empty() ? fmt::format("Telegram's server answered {}", status)
                                                : fmt::format("Telegram: {}", description);
    if (status == kTooMany) {
        if (const auto seconds = number_of(member(answer, "parameters"), "retry_after"))
            retry_after = Milliseconds(long(*seconds * 1000));
        return Delivery::passing(why, retry_after);
    }
    // What no API answers comes from something in between.
    if (status >= 500 || description.empty()) {
        Delivery delivery = Delivery::passing(why, retry_after);
        delivery.perhaps = status >= 500; // a gateway does not know what became of it
        return delivery;
    }
    std::string new_chat;
    if (const auto& id = member(member(answer, "parameters"), "migrate_to_chat_id"); id.is_number())
        new_chat = fmt::format(": {}", id.dump());
    return Delivery::permanent(why, help_for(status, description) + new_chat);
}

TelegramChat::TelegramChat(TelegramSettings settings, TransferOptions options)
    : settings_(std::move(settings)), client_(std::move(options)) {
    while (settings_.api.ends_with('/')) settings_.api.pop_back();
}

std::string TelegramChat::without_token(std::string text) const {
    for (auto at = text.find(settings_.token); !settings_.token.empty() && at != std::string::npos;
         at = text.find(settings_.token, at))
        text.replace(at, settings_.token.size(), "<redacted>");
    return text;
}

HttpResponse TelegramChat::call(const std::string& method, std::vector<FormPart> arguments) {
    arguments.push_back({"chat_id", settings_.chat, "", ""});
    if (!settings_.thread.empty()) arguments.push_back({"message_thread_id", settings_.thread, "", ""});
    if (settings_.silent) arguments.push_back({"disable_notification", "true", "", ""});
    HttpRequest request;
    request.method = "POST";
    request.url = fmt::format("{}/bot{}/{}", settings_.api, settings_.token, method);
    request.form = std::move(arguments);
    request.once = true;
    return client_.perform(request);
}

Delivery TelegramChat::delivery_of(const HttpResponse& response) const {
    Delivery delivery = telegram_delivery(response.status, response.body, response.retry_after());
    delivery.error = without_token(std::move(delivery.error));
    return delivery;
}

template <typename Work>
Delivery TelegramChat::guarded(Work work) const {
    try {
        return work();
    } catch (const TransferError& error) {
        if (error.passing()) {
            Delivery delivery = Delivery::passing(without_token(error.what()));
            delivery.perhaps = error.perhaps_taken();
            return delivery;
        }
        return Delivery::permanent(without_token(error.what()), error.help());
    }
}

Delivery TelegramChat::send_text(const std::string& html) {
    return guarded([&] {
        const std::string no_preview = R"({"is_disabled":true})";
        HttpResponse response = call(
            "sendMessage",
            {{"text", html, "", ""}, {"parse_mode", "HTML", "", ""}, {"link_preview_options", no_preview, "", ""}});
        if (response.status == kBadRequest && response.body.find("can't parse entities") != std::string::npos)
            response = call("sendMessage",
                            {{"text", without_tags(html), "", ""}, {"link_preview_options", no_preview, "", ""}});
        return delivery_of(response);
    });
}

Delivery TelegramChat::send_file(const std::string& method, const File& file, const std::string& caption) {
    const HttpResponse response = call(method, {{"caption", caption, "", ""},
                                                {"parse_mode", "HTML", "", ""},
                                                {file.field, file.content, file.name, file.type}});
    return delivery_of(response);
}

Delivery TelegramChat::send_image(const std::filesystem::path& path, const std::string& name,
                                  const std::string& caption) {
    std::error_code failure;
    const std::uint64_t bytes = std::filesystem::file_size(path, failure);
    if (failure)
        return Delivery::permanent(fmt::format("{} cannot be read: {}", path.native(), failure.message()),
                                   "it was logged with notify, and is there no more");
    if (bytes > kDocumentBytes)
        return Delivery::permanent(fmt::format("{} has {}", path.native(), format_bytes(bytes)),
                                   "Telegram takes 50 MiB; log a smaller one");
    const auto content = read_file(path);
    if (!content) return Delivery::permanent(path.native() + " cannot be read", "");
    const ImageHeader header = read_image_header(path).value_or(ImageHeader{});
    const int width = header.width, height = header.height;
    const bool is_photo = (header.format == "png" || header.format == "jpg" || header.format == "webp") && width > 0 &&
                          height > 0 && bytes <= kPhotoBytes && width + height <= kPhotoSides &&
                          std::max(width, height) <= kPhotoRatio * std::min(width, height);
    const std::string type = header.format.empty() ? "application/octet-stream"
                                                   : "image/" + (header.format == "jpg" ? "jpeg" : header.format);
    return guarded([&] {
        if (is_photo) {
            Delivery delivery = send_file("sendPhoto", {"photo", name, type, *content}, caption);
            if (delivery.state != Delivery::State::failed) return delivery;
            const bool not_as_photo = delivery.error.find("PHOTO_") != std::string::npos ||
                                      delivery.error.find("IMAGE_PROCESS_FAILED") != std::string::npos;
            if (!not_as_photo) return delivery;
        }
        return send_file("sendDocument", {"document", name, type, *content}, caption);
    });
}

} // namespace poster
