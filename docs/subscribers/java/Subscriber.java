import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Acts on each trigger of nextmove once: Subscriber BROKERS TOPIC,TOPIC FILE GROUP NAME.
 *
 * <p>What is to be done, and what was handled, is a line of the file: trigger id, slot, when it expires, from when on
 * it may be done, action, channel, address. A line with the first three only takes back what an earlier one says.
 * There is nothing in it about a person but references.
 */
public final class Subscriber implements AutoCloseable {
    private static final List<String> OF_BOTH = List.of("trigger_id", "slot_key");
    private static final List<String> OF_TRIGGERS = List.of("action", "channel", "address_ref");
    private static final String RETRACTED = "io.nextmove.trigger.retracted.v1";
    // An expired trigger is not acted upon, so its id may go. A day more, for clocks that differ.
    private static final Duration KEPT = Duration.ofDays(1);

    private final ObjectMapper json = new ObjectMapper();
    private final Set<String> handled = new HashSet<>();
    private final FileOutputStream file;

    /** Reads the file, and writes it anew with what is still worth knowing. */
    Subscriber(Path path) throws IOException {
        Path renewed = path.resolveSibling(path.getFileName() + ".new");
        String told = Files.exists(path) ? Files.readString(path) : "";
        try (FileOutputStream out = new FileOutputStream(renewed.toFile())) {
            // What comes after the last line's end was cut off by a crash: it will come again.
            for (String line : told.substring(0, told.lastIndexOf('\n') + 1).split("\n")) {
                String[] fields = line.split("\t");
                if (fields.length < 3 || Instant.parse(fields[2]).isBefore(Instant.now().minus(KEPT))) {
                    continue;
                }
                handled.add("id " + fields[0]);
                handled.add("slot " + fields[1]);
                if (fields.length == 3) {
                    handled.add("retracted " + fields[0]);
                }
                out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
            }
            out.getFD().sync();
        }
        Files.move(renewed, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        file = new FileOutputStream(path.toFile(), true);
    }

    /** Handles records; they are on the disk when it returns. */
    void take(Iterable<ConsumerRecord<byte[], byte[]>> records) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (ConsumerRecord<byte[], byte[]> record : records) {
            String type = type(record);
            boolean isTrigger = type.startsWith("io.nextmove.nba.") && type.endsWith(".v1");
            if (record.value() == null || !(isTrigger || type.equals(RETRACTED))) {
                continue; // tombstones, and whatever else is on the topic
            }
            JsonNode told = read(record, isTrigger ? OF_TRIGGERS : List.of());
            if (told != null && isTrigger) {
                handle(told, lines);
            } else if (told != null) {
                retract(told, lines);
            }
        }
        file.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        file.getFD().sync();
    }

    private void handle(JsonNode trigger, StringBuilder lines) {
        Instant expiresAt = instant(trigger, "expires_at");
        String id = trigger.get("trigger_id").textValue();
        String slot = trigger.get("slot_key").textValue();
        // Neither the same once more, nor another one for the same slot: that was decided anew after a crash.
        if (!Instant.now().isBefore(expiresAt) || handled.contains("id " + id) || handled.contains("slot " + slot)) {
            return;
        }
        handled.add("id " + id);
        handled.add("slot " + slot);
        List<String> fields = new ArrayList<>(List.of(id, slot, expiresAt.toString()));
        fields.add(instant(trigger, "not_before").toString());
        for (String name : OF_TRIGGERS) {
            fields.add(trigger.get(name).textValue());
        }
        lines.append(String.join("\t", fields)).append('\n');
    }

    /** Takes a trigger back. One that is yet to come is known then, and no line is made of it. */
    private void retract(JsonNode retraction, StringBuilder lines) {
        String id = retraction.get("trigger_id").textValue();
        String slot = retraction.get("slot_key").textValue();
        if (handled.add("retracted " + id)) {
            handled.add("id " + id);
            handled.add("slot " + slot);
            lines.append(String.join("\t", id, slot, instant(retraction, "expires_at").toString())).append('\n');
        }
    }

    private static Instant instant(JsonNode told, String name) {
        return OffsetDateTime.parse(told.path(name).asText()).toInstant();
    }

    /** Returns the CloudEvent's type, "" where there is none. */
    private static String type(ConsumerRecord<byte[], byte[]> record) {
        Header header = record.headers().lastHeader("ce_type");
        return header == null || header.value() == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
    }

    /** Returns what a record says; null where that is not whole. */
    private JsonNode read(ConsumerRecord<byte[], byte[]> record, List<String> names) {
        try {
            JsonNode told = json.readTree(record.value()); // fields that are not known are let be
            List<String> texts = new ArrayList<>(OF_BOTH);
            texts.addAll(names);
            for (String name : texts) {
                if (!told.path(name).isTextual() || told.get(name).textValue().matches("(?s).*[\\t\\n\\r].*")) {
                    throw new DateTimeException(name + " is no line of text");
                }
            }
            instant(told, "expires_at");
            if (!names.isEmpty()) {
                instant(told, "not_before");
            }
            return told;
        } catch (IOException | DateTimeException error) {
            String place = record.topic() + "/" + record.partition() + " at " + record.offset();
            System.err.println(place + " is no trigger: " + error.toString().lines().findFirst().orElse(""));
            return null;
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }

    /** Runs until told to stop: SIGTERM and SIGINT run the hooks of the shutdown. */
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> options = Map.of(
                "bootstrap.servers", arguments[0],
                "group.id", arguments[3],
                "group.instance.id", arguments[4], // of several in a group each gets its partitions back by its name
                "auto.offset.reset", "earliest",
                "enable.auto.commit", "false");
        CountDownLatch ended = new CountDownLatch(1);
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(options, bytes, bytes);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                ended.await();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        try (consumer; Subscriber subscriber = new Subscriber(Path.of(arguments[2]))) {
            consumer.subscribe(List.of(arguments[1].split(",")));
            while (true) {
                var records = consumer.poll(Duration.ofMillis(500));
                if (!records.isEmpty()) {
                    subscriber.take(records);
                    consumer.commitSync(); // after, so that whoever dies in between takes them again
                }
            }
        } catch (WakeupException stopped) {
            // That is how it ends.
        } finally {
            ended.countDown();
        }
    }
}
