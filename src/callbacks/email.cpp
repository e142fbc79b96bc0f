// Messages by mail.

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <http.hpp>
#include <image_header.hpp>
#include <mime.hpp>
#include <path_setting.hpp>
#include <records.hpp>
#include <secret_setting.hpp>
#include <text.hpp>

#include "notice.hpp"
#include "notifier.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::uint64_t kAttachmentBytes = 20 << 20;
constexpr std::size_t kSubjectColumns = 150;
constexpr int kTooLarge = 552;
// RFC 5321, 4.5.3.2.6: who waits no longer for the word on a whole mail sends it twice.
constexpr std::chrono::minutes kPatienceForAnswer{10};

// What the server's reply means.
Delivery delivery_of(const MailAnswer& answer) {
    const std::string reply = fmt::format("{} {}", answer.status, in_a_line(answer.text));
    const std::string why = "the mail server answered " + reply;
    if (answer.status / 100 == 2) return Delivery::arrived(reply);
    if (answer.status / 100 == 4) return Delivery::passing(why);
    std::string help;
    if (answer.status == 535 || answer.status == 534) help = "see whether email.user and email.password are right";
    if (answer.status == 530) help = "it wants a login: set email.user and email.password";
    if (answer.status == 550 || answer.status == 551 || answer.status == 553)
        help = "see whether email.to and email.from are right, and whether the server wants a login (email.user)";
    if (answer.status == kTooLarge) help = "the mailbox is full, or the mail too large for the server";
    return Delivery::permanent(why, help);
}

class Email : public Notifier {
public:
    explicit Email(const Settings& settings) : Notifier("email", settings), settings_(settings) {}

    Delivery deliver(const Run& run, const OutboxEntry& entry, Deadline deadline) override {
        const json facts = json::parse(entry.payload, nullptr, false);
        if (!facts.is_object()) return Delivery::permanent("the entry cannot be read", "");
        Mail mail;
        mail.server = settings_.text("email.server");
        mail.require_tls = settings_.text("email.tls") != "off";
        mail.user = settings_.text("email.user");
        try {
            if (!mail.user.empty()) mail.password = secret_of(settings_, "email.password");
        } catch (const Error& error) {
            return Delivery::not_yet(error.what(), error.help());
        }
        // Another machine that sees the store may have it.
        if (!mail.user.empty() && mail.password.empty())
            return Delivery::not_yet("there is no email.password here",
                                     "POSTER_EMAIL_PASSWORD, email.password_file or email.password_command gives it");
        try {
            return send(std::move(mail), text_of_mail(run, entry, facts), deadline);
        } catch (const TransferError& error) {
            Delivery delivery =
                error.passing() ? Delivery::passing(error.what()) : Delivery::permanent(error.what(), error.help());
            delivery.perhaps = error.perhaps_taken();
            return delivery;
        } catch (const Error& error) {
            return Delivery::permanent(error.what(), error.help());
        }
    }

private:
    MailText text_of_mail(const Run& run, const OutboxEntry& entry, const json& facts) const {
        Notice notice = notice_of(facts);
        MailText mail;
        mail.from = settings_.text("email.from");
        mail.to = settings_.list("email.to");
        mail.subject = shorten("[poster] " + notice.title, kSubjectColumns);
        mail.message_id = message_id_of(entry.key, mail.from);
        mail.thread = run.id.empty() ? "" : message_id_of("run " + run.id, mail.from);
        mail.date = wall_now();
        if (entry.kind == "image") attach(mail, notice, run, facts);
        mail.text = as_text(notice);
        mail.html = as_html(notice);
        return mail;
    }

    static void attach(MailText& mail, Notice& notice, const Run& run, const json& facts) {
        const fs::path path = image_of(run, facts);
        std::error_code failure;
        const std::uint64_t bytes = fs::file_size(path, failure);
        const auto content = failure || bytes > kAttachmentBytes ? std::nullopt : read_file(path);
        if (!content) {
            notice.footnote = fmt::format("The image is not attached ({}): {}",
                                          failure ? failure.message() : format_bytes(bytes), path.native());
            return;
        }
        const std::string format = read_image_header(path).value_or(ImageHeader{}).format;
        mail.attachments.push_back(
            {path.filename().native(),
             format.empty() ? "application/octet-stream" : "image/" + (format == "jpg" ? "jpeg" : format), *content});
    }

    Delivery send(Mail mail, MailText text, Deadline deadline) const {
        TransferOptions options;
        options.ca_file = path_setting(settings_, "email.ca_file").native();
        options.answer_timeout = kPatienceForAnswer;
        options.cancelled = [deadline] { return std::chrono::steady_clock::now() > deadline; };
        mail.from = mail_address(text.from);
        for (const auto& to : text.to) mail.to.push_back(mail_address(to));
        mail.message = mime_message(text);
        MailAnswer answer = send_mail(mail, options);
        if (answer.status == kTooLarge && !text.attachments.empty()) {
            text.attachments.clear();
            text.text += "\nThe image is too large for the mail server and not attached.\n";
            text.html.clear();
            mail.message = mime_message(text);
            answer = send_mail(mail, options);
        }
        return delivery_of(answer);
    }

    const Settings settings_;
};

std::vector<Option> options() {
    std::vector<Option> all{
        {"email.to", OptionType::list, "", "who gets the mails; it turns the callback on"},
        {"email.from", OptionType::text, "", "the sender's address"},
        {"email.server", OptionType::text, "", "smtp://host:587 (STARTTLS) or smtps://host:465"},
        {"email.user", OptionType::text, "", "for the login; none: without one"},
        {"email.tls", OptionType::text, "required", "off: also without encryption, where the server offers none"},
        {"email.ca_file", OptionType::text, "", "certificates to trust (PEM), for a server of one's own"},
    };
    for (auto& option : secret_options("email.password", "the password")) all.push_back(std::move(option));
    for (auto& option : notifier_options("email")) all.push_back(std::move(option));
    return all;
}

[[noreturn]] void refuse(const Settings& settings, const std::string& key, const std::string& why,
                         const std::string& help) {
    const std::string& source = settings.values().at(key).source;
    throw UsageError(fmt::format("setting '{}' ({}): {}", key, source, why), help);
}

Activation activate(const Settings& settings) {
    const auto to = settings.list("email.to");
    if (to.empty()) return {false, "email.to is not set"};
    if (settings.text("email.server").empty()) return {false, "email.server is not set"};
    if (settings.text("email.from").empty()) return {false, "email.from is not set"};
    check_notifier_settings("email", settings);
    const auto check = [&](const std::string& key, const std::string& mailbox) {
        try {
            mail_address(mailbox);
        } catch (const Error& error) {
            refuse(settings, key, error.what(), error.help());
        }
    };
    check("email.from", settings.text("email.from"));
    for (const auto& mailbox : to) check("email.to", mailbox);
    const std::string server = settings.text("email.server"), tls = settings.text("email.tls");
    if (!server.starts_with("smtp://") && !server.starts_with("smtps://"))
        refuse(settings, "email.server", "not an address of a mail server", "smtp://host:587 or smtps://host:465");
    if (tls != "required" && tls != "off") refuse(settings, "email.tls", "not known", "required or off");
    return {true, fmt::format("to {}", fmt::join(to, ", "))};
}

} // namespace

extern const CallbackEntry email_callback;
const CallbackEntry email_callback = callback_entry<Email>("email", "tells of runs by mail", options(), activate);

} // namespace poster
