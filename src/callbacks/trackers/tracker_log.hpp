#pragma once
// What a callback reads from the files of another tracker, as events of the run: events/HOST.NAME.jsonl. After the
// events of a part of a file comes a line that tells how far that file has been read, so that a host that is started
// again goes on where the one before it stopped, and nothing is there twice.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <poster/run.hpp>

namespace poster {

// A program that ends sooner has not even loaded what writes such files.
inline constexpr Milliseconds kTrackedRun{30};

class TrackerLog {
public:
    struct Cursor {
        std::uint64_t offset = 0;
        nlohmann::json more = nlohmann::json::object(); // what else the reader of the file wants to know again
    };

    // Cuts off what an earlier host wrote without saying how far it had read.
    TrackerLog(const Run& run, std::string_view name);

    // In the order in which the files were first read.
    const std::vector<std::pair<std::filesystem::path, Cursor>>& earlier() const { return earlier_; }

    void add(const nlohmann::json& event);
    // Spelled as poster's clients spell it. Of a float32 (`single`) as few digits as tell it from its neighbours.
    struct Value {
        std::string name;
        double value = 0;
        bool single = false;
    };
    void add_metric(double time, std::optional<std::int64_t> step, const std::vector<Value>& values);
    std::size_t pending_bytes() const { return pending_.size(); }
    // Writes what was added, and the cursor behind it. Throws Error; nothing is written then.
    void commit(const std::filesystem::path& file, const Cursor& cursor);

private:
    void read_earlier();

    std::filesystem::path file_;
    std::string pending_;
    std::vector<std::pair<std::filesystem::path, Cursor>> earlier_;
};

// Stores a picture under images/NAME/STEP.png (.jpg, .gif) of the run, and gives its event. nullopt: it is no picture.
std::optional<nlohmann::json> store_image(const Run& run, const std::string& name, std::optional<std::int64_t> step,
                                          double time, std::string_view bytes);

} // namespace poster
