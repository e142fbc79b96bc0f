#pragma once
// Telegram's Bot API (core.telegram.org/bots/api): messages of HTML, photos and documents to one chat.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <poster/remote.hpp>

#include "http.hpp"

namespace poster {

// The API's limits, in UTF-16 units of what is shown.
inline constexpr std::size_t kTelegramText = 4096;
inline constexpr std::size_t kTelegramCaption = 1024;

// Cuts HTML of the API's kind (tags, &amp; &lt; &gt;) so that of each part no more than `limit` units are shown: at the
// end of a line, else of a word, else between two characters. A tag that is cut is closed and opened again in the next
// part. Parts that would show nothing are left out.
std::vector<std::string> split_telegram_html(std::string_view html, std::size_t limit);
std::size_t shown_units(std::string_view html);
// What it shows.
std::string without_tags(std::string_view html);

struct TelegramSettings {
    std::string api; // "https://api.telegram.org"
    std::string token, chat;
    std::string thread; // the id of a topic of the chat; empty: none
    bool silent = false;
};

class TelegramChat {
public:
    TelegramChat(TelegramSettings settings, TransferOptions options);

    // html: one part. As plain text where the API does not take it.
    Delivery send_text(const std::string& html);
    // As a photo where the API takes it for one, else as a document.
    Delivery send_image(const std::filesystem::path& file, const std::string& name, const std::string& caption);

private:
    struct File {
        std::string field, name, type, content;
    };
    HttpResponse call(const std::string& method, std::vector<FormPart> arguments);
    Delivery send_file(const std::string& method, const File& file, const std::string& caption);
    template <typename Work>
    Delivery guarded(Work work) const;
    Delivery delivery_of(const HttpResponse& response) const;
    std::string without_token(std::string text) const;

    TelegramSettings settings_;
    HttpClient client_;
};

// What the API's answer means. Pure.
Delivery telegram_delivery(int status, std::string_view body, std::optional<Milliseconds> retry_after);

} // namespace poster
