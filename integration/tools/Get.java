import java.net.URI;
import javax.net.ssl.HttpsURLConnection;

/** Prints what is at an address. */
class Get {
    public static void main(String[] arguments) throws Exception {
        var connection = (HttpsURLConnection) URI.create(arguments[0]).toURL().openConnection();
        System.out.write(connection.getInputStream().readAllBytes());
        System.out.flush();
    }
}
