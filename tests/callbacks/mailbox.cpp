// A callback for the tests that delivers messages: each appends a line to the file [mailbox] path, as long as the file
// [mailbox] path + ".down" is not there. Takes [mailbox] delay for it, before and after.

#include <unistd.h>

#include <thread>

#include <fmt/format.h>

#include <fd.hpp>
#include <files.hpp>
#include <poster/callback.hpp>

namespace poster {

namespace {

class Mailbox : public Callback {
public:
    explicit Mailbox(const Settings& settings)
        : path_(settings.text("mailbox.path")), delay_(settings.duration("mailbox.delay")),
          letters_(settings.integer("mailbox.letters")) {}

    void on_start(const Run& run) override { queue(run, "start"); }
    void on_end(const Run& run, const Outcome&, Deadline) override {
        for (long i = 0; i < letters_; ++i) queue(run, fmt::format("letter-{}", i));
        queue(run, "end");
    }
    Delivery deliver(const Run& run, const OutboxEntry& entry, Deadline) override {
        if (::access((path_ + ".down").c_str(), F_OK) == 0) return Delivery::passing("the mailbox is closed");
        if (::access((path_ + ".refuses-" + entry.kind).c_str(), F_OK) == 0)
            return Delivery::permanent("it is not taken", "take the refusal away");
        std::this_thread::sleep_for(delay_);
        const Fd file = open_append(path_);
        write_all(file.get(), fmt::format("{} {} {}\n", run.id, entry.kind, entry.perhaps_sent ? "again" : "once"));
        std::this_thread::sleep_for(delay_);
        return Delivery::arrived(entry.key);
    }

private:
    static void queue(const Run& run, const std::string& kind) {
        OutboxEntry entry;
        entry.key = fmt::format("{}/{}/mailbox/{}", run.id, run.attempt, kind);
        entry.callback = "mailbox";
        entry.kind = kind;
        run.queue(entry);
    }

    std::string path_;
    Milliseconds delay_;
    long letters_;
};

} // namespace

extern const CallbackEntry mailbox_callback;
const CallbackEntry mailbox_callback = callback_entry<Mailbox>(
    "mailbox", "appends a line for each message to a file",
    {{"mailbox.path", OptionType::text, "", "the file"},
     {"mailbox.delay", OptionType::duration, "0s", "how long a delivery takes, twice"},
     {"mailbox.letters", OptionType::integer, "0", "how many messages besides start and end"}},
    [](const Settings& settings) { return Activation{settings.contains("mailbox.path"), "mailbox.path"}; });

} // namespace poster
